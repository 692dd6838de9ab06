-- A control adds a piece of what it has kept, once: what it has added so far must be what it believes.
-- KEYS: epoch, rebuild, accounts…
-- ARGV: name of the epoch, member, added before, added after; for each account
--   the second until which it counts, number of slots, (slot, tokens)…, number of leases, (worker, amount, renewed, stamp)…
-- Answers what the member has added: 'added after' unless another piece was due; '' if the epoch is another.
local _, of = string.match(redis.call('GET', KEYS[1]) or '', '^(%a+) (%w+)')
if of ~= ARGV[1] then
  return ''
end
local added = redis.call('HGET', KEYS[2], ARGV[2]) or '-'
if added ~= ARGV[3] then
  return added
end
local at = 5
local function take()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
local changed = {}
for place = 3, #KEYS do
  local entry = load(KEYS[place])
  local till = take()
  for _ = 1, take() do
    local slot, tokens = take(), take()
    add_to_slot(entry, slot, tokens)
    entry.latest = max(entry.latest, slot)
  end
  for _ = 1, take() do
    local worker = ARGV[at]
    at = at + 1
    local amount, renewed, stamp = take(), take(), take()
    local lease = find_lease(entry, worker)
    if not lease then
      if #entry.leases < MAX_LEASES then
        table.insert(entry.leases, {worker, amount, renewed, stamp})
      else
        -- No place: it counts as used.
        add_to_slot(entry, renewed, amount)
      end
    elseif stamp > lease[4] then
      lease[2], lease[3], lease[4] = amount, renewed, stamp
    end
    entry.latest = max(entry.latest, renewed)
  end
  changed[#changed + 1] = {KEYS[place], entry, max(till - now, redis.call('TTL', KEYS[place]))}
end
for _, account in ipairs(changed) do
  save(account[1], account[2], account[3])
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
return ARGV[4]
