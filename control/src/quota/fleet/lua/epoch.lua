-- A control says that it lives, and learns of the epoch; begins one where there is none, and ends the
-- rebuilding when nobody is missing or it has lasted too long.
-- KEYS: epoch, members, rebuild
-- ARGV: this member, a name for a new epoch, 'fresh' or 'known', seconds that a rebuilding may last,
--   seconds after which a silent member is forgotten, seconds that keys are kept, the members it knows…
-- Answers {epoch, now, what this member has added, all members…}
local member, name, keep = ARGV[1], ARGV[2], ARGV[6]
redis.call('HSET', KEYS[2], member, now)
redis.call('EXPIRE', KEYS[2], keep)
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  redis.call('DEL', KEYS[3])
  if ARGV[3] == 'fresh' then
    epoch = 'ready ' .. name
  else
    epoch = string.format('rebuilding %s %.0f', name, now + tonumber(ARGV[4]))
  end
end
redis.call('HSETNX', KEYS[3], member, '-')
local state, of, till = string.match(epoch, '^(%a+) (%w+) ?(%d*)$')
if state == 'rebuilding' then
  for place = 7, #ARGV do
    redis.call('HSETNX', KEYS[3], ARGV[place], '-')
  end
  local whole = true
  for _, added in ipairs(redis.call('HVALS', KEYS[3])) do
    whole = whole and added == 'done'
  end
  if whole or now >= tonumber(till) then
    epoch = 'ready ' .. of
  end
end
redis.call('SET', KEYS[1], epoch, 'EX', keep)
redis.call('EXPIRE', KEYS[3], keep)
local answer = {epoch, string.format('%.0f', now), redis.call('HGET', KEYS[3], member)}
local all = redis.call('HGETALL', KEYS[2])
for place = 1, #all, 2 do
  if now - tonumber(all[place + 1]) > tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[2], all[place])
  else
    answer[#answer + 1] = all[place]
  end
end
return answer
