-- Makes the room for what only building needs; it is not kept, so nothing is spent on compressing it.
create schema if not exists memory.building
