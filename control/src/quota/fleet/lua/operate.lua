-- KEYS: epoch, operation, accounts…
-- ARGV: the epoch that is to be, worker, seconds for which the answer is kept; for each account
--   limit, window (seconds; 0: day, -1: month), give_back, need, want, number of moments, (second, tokens)…
-- Answers {0, epoch or ''} when the epoch is another and nothing was done, else {1, answer}.
local epoch = redis.call('GET', KEYS[1]) or ''
if epoch ~= ARGV[1] then
  return {0, epoch}
end
local known = redis.call('GET', KEYS[2])
if known then
  return {1, known}
end

local stamp = now * 1000000 + micros

local function month_start(at)
  local days = floor(at / DAY)
  local day_of_era = (days + 719468) % 146097
  local year_of_era = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524)
    - floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
  local month = floor((5 * day_of_year + 2) / 153)
  return (days - (day_of_year - floor((153 * month + 2) / 5))) * DAY
end

local function slot_of(window, at)
  if window > 0 then
    return at - at % max(floor((window + 59) / 60), 1)
  elseif window == 0 then
    return at - at % DAY
  end
  return month_start(at)
end

local function leaves(window, at)
  local slot = slot_of(window, at)
  if window > 0 then
    return slot + max(floor((window + 59) / 60), 1) + window
  elseif window == 0 then
    return slot + DAY
  end
  return month_start(slot + 32 * DAY)
end

local function runs_out(lease)
  return lease[3] + LEASE_SECONDS
end

local function moment(entry)
  if entry.latest - now > CLOCK_SET_BACK_SECONDS then
    return now
  end
  return max(now, entry.latest)
end

local function add(entry, window, at, tokens)
  if tokens > 0 and entry.latest < leaves(window, at) then
    add_to_slot(entry, slot_of(window, at), tokens)
  end
end

local function advance(entry, window)
  local now = moment(entry)
  if now < entry.latest then
    -- The clock was wrong before: what it said of the future is of now.
    local future = 0
    while #entry.used > 0 and entry.used[#entry.used][1] > now do
      future = plus(future, table.remove(entry.used)[2])
    end
    entry.latest = now
    add(entry, window, now, future)
    for _, lease in ipairs(entry.leases) do
      lease[3] = min(lease[3], now)
    end
  end
  entry.latest = now
  local used, leases = {}, {}
  for _, slot in ipairs(entry.used) do
    if now < leaves(window, slot[1]) then
      used[#used + 1] = slot
    end
  end
  for _, lease in ipairs(entry.leases) do
    if now < runs_out(lease) or now < leaves(window, runs_out(lease)) then
      leases[#leases + 1] = lease
    end
  end
  entry.used, entry.leases = used, leases
  return now
end

-- What counts as used: when each leaves, and how much.
local function counting(entry, window, now)
  local all = {}
  for _, slot in ipairs(entry.used) do
    if now < leaves(window, slot[1]) then
      all[#all + 1] = {leaves(window, slot[1]), slot[2]}
    end
  end
  for _, lease in ipairs(entry.leases) do
    if runs_out(lease) <= now and now < leaves(window, runs_out(lease)) then
      all[#all + 1] = {leaves(window, runs_out(lease)), lease[2]}
    end
  end
  return all
end

local function used_of(entry, window, now)
  local sum = 0
  for _, part in ipairs(counting(entry, window, now)) do
    sum = plus(sum, part[2])
  end
  return sum
end

local function held_of(entry, now)
  local sum = 0
  for _, lease in ipairs(entry.leases) do
    if now < runs_out(lease) then
      sum = plus(sum, lease[2])
    end
  end
  return sum
end

local function report(entry, account)
  local now = advance(entry, account.window)
  local lease, place = find_lease(entry, ARGV[2])
  local since = lease and lease[3] or 0
  local gone = account.give_back
  for _, spent in ipairs(account.spent) do
    gone = plus(gone, spent[2])
    add(entry, account.window, min(max(spent[1], since), now), spent[2])
  end
  if lease then
    lease[2] = minus(lease[2], gone)
    lease[3], lease[4] = now, stamp
    if lease[2] == 0 then
      table.remove(entry.leases, place)
    end
  end
  return since, now
end

local function until_free(entry, window, now, short)
  local held = held_of(entry, now)
  if short <= held then
    return 1
  end
  local leaving = counting(entry, window, now)
  table.sort(leaving, function(one, other) return one[1] < other[1] end)
  local function when(enough)
    local sum = 0
    for _, part in ipairs(leaving) do
      sum = plus(sum, part[2])
      if sum >= enough then
        return max(part[1] - now, 1)
      end
    end
  end
  return when(short) or when(minus(short, held)) or 1
end

-- nil: there is enough; else in how many seconds there may be, -1: never.
local function check(entry, account, now)
  if account.need == 0 then
    return nil
  end
  if account.need > account.limit then
    return -1
  end
  local taken = plus(used_of(entry, account.window, now), held_of(entry, now))
  local short = minus(plus(taken, account.need), account.limit)
  if short > 0 then
    return until_free(entry, account.window, now, short)
  end
  if #entry.leases >= MAX_LEASES and not find_lease(entry, ARGV[2]) then
    return 1
  end
end

local function grant(entry, account, now)
  local limit = account.limit
  local free = minus(minus(limit, used_of(entry, account.window, now)), held_of(entry, now))
  local granted = account.need
  if free >= floor(limit / NEAR_SHARE) then
    granted = max(min(account.want, floor(limit / LEASE_SHARE), free), account.need)
  end
  if granted > 0 then
    local lease = find_lease(entry, ARGV[2])
    if lease then
      lease[2] = plus(lease[2], granted)
      lease[3], lease[4] = now, stamp
    elseif #entry.leases >= MAX_LEASES then
      -- Nothing was needed, and there is no place.
      granted = 0
    else
      table.insert(entry.leases, {ARGV[2], granted, now, stamp})
    end
  end
  return granted
end

local function reset(entry, window, now)
  if window <= 0 then
    return leaves(window, now) - now
  end
  local last = now
  for _, part in ipairs(counting(entry, window, now)) do
    last = max(last, part[1])
  end
  return last - now
end

-- The second from which nothing of it counts any more.
local function ends(entry, window)
  local last = 0
  for _, slot in ipairs(entry.used) do
    last = max(last, leaves(window, slot[1]))
  end
  for _, lease in ipairs(entry.leases) do
    last = max(last, leaves(window, runs_out(lease)))
  end
  return last
end

local accounts = {}
local at = 4
for place = 3, #KEYS do
  local account = {
    key = KEYS[place],
    limit = tonumber(ARGV[at]),
    window = tonumber(ARGV[at + 1]),
    give_back = tonumber(ARGV[at + 2]),
    need = tonumber(ARGV[at + 3]),
    want = tonumber(ARGV[at + 4]),
    spent = {},
  }
  local moments = tonumber(ARGV[at + 5])
  at = at + 6
  for spent = 1, moments do
    account.spent[spent] = {tonumber(ARGV[at]), tonumber(ARGV[at + 1])}
    at = at + 2
  end
  account.entry = load(account.key)
  account.since, account.now = report(account.entry, account)
  accounts[#accounts + 1] = account
end

-- Which account has not enough (from 0; -1: all have), and when to ask again: the longest wait.
local refused, wait = -1, 0
for place, account in ipairs(accounts) do
  local short = check(account.entry, account, account.now)
  if short and (refused == -1 or (wait ~= -1 and (short == -1 or short > wait))) then
    refused, wait = place - 1, short
  end
end

local answer = {number(stamp), number(refused), number(wait)}
local function say(value)
  answer[#answer + 1] = number(value)
end
for _, account in ipairs(accounts) do
  local entry, window = account.entry, account.window
  say(refused == -1 and grant(entry, account, account.now) or 0)
  say(used_of(entry, window, account.now))
  say(held_of(entry, account.now))
  say(reset(entry, window, account.now))
  local lease = find_lease(entry, ARGV[2])
  say(lease and lease[2] or 0)
  say(account.since)
  say(account.now)
end
answer = table.concat(answer, ' ')

-- All that is written is written here: a script that breaks down before has changed nothing.
for _, account in ipairs(accounts) do
  save(account.key, account.entry, ends(account.entry, account.window) - account.now)
end
redis.call('SET', KEYS[2], answer, 'EX', ARGV[3])
return {1, answer}
