-- Limits the memory of the store. A template: $memory, such as 512MB.
set memory_limit = '$memory'
