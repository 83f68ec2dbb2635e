-- The same usages, and those known before calls ("denied"), by bucket: what, bucket, usages (their
-- number), avoided_pusd. A bucket is 1/4096 of a doubling. A template: $known_before, $highest_usages,
-- $usage_buckets.
create table $usage_buckets as
select
    'denied' as what,
    floor(log2(known_before + 1.0::double) * 4096)::integer as bucket,
    count(*) as usages,
    coalesce(sum(list_cost_pusd), 0)::hugeint as avoided_pusd
from $known_before
where not is_spared
group by bucket
union all
select
    what,
    floor(log2(usage + 1.0::double) * 4096)::integer as bucket,
    count(*) as usages,
    0::hugeint as avoided_pusd
from $highest_usages
group by what, bucket
