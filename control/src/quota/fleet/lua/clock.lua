-- One clock for all controls: Redis's own.
local time = redis.call('TIME')
local now = tonumber(time[1])
local micros = tonumber(time[2])
