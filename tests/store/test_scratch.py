"""Folders for what is not finished: whose they are, and when they go."""

from pathlib import Path

from otelbudget.store.scratch import Scratch, scratch


def test_a_folder_in_use_stays_and_goes_when_it_is_removed(tmp_path: Path) -> None:
    first = Scratch(tmp_path)
    second = Scratch(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])
    first.remove()
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_ours_are_removed(tmp_path: Path) -> None:
    """Without our lock file it may be anybody's; a link leads elsewhere."""
    other = tmp_path / ".otelbudget-other"
    other.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    link = tmp_path / ".otelbudget-link"
    link.symlink_to(elsewhere)
    left = tmp_path / ".otelbudget-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "spool-1").write_text("rows")

    with scratch(tmp_path) as folder:
        found = set(tmp_path.iterdir())

    assert found == {other, elsewhere, link, folder}
    assert (elsewhere / "lock").exists()
