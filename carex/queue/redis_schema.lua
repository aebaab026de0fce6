-- The Redis queue's schema, version 2, and what the verbs of redis.lua share. All keys begin with one prefix, whose
-- {tag} keeps them in one slot.
--
--   task:ID      a task: a hash with the fields of schema.sql; `reason`, `result` and `payload` are JSON
--   due:TYPE     its waiting tasks, by the time when they are due   | in these sets a task is its seq and its id in
--   leases       the running tasks, by the end of their leases      | one word, so that of two with the same time
--   failed:TYPE  its failed tasks, by the time of their end         | the one that was put first comes first
--   done         the done tasks, by the time of their end           |
--   keys         key → the ids of the tasks that may hold it
--   types        type → how many tasks there are
--   serial       the last number given: seq and fence come from here, so that neither is ever given twice
--   holders      the processes that claim, by their last sign of life
--   sleepers     holders that wait, with the types they want, by the end of their patience
--   wake:HOLDER  the list on which that holder blocks
--   owners       what → who owns it among the homes that share this queue
--   counters     sums over the life of the installation
--   answers      the ids of answers not yet sent, by the time until which somebody is sending them
--   replies      id of an answer → what the task's `reply` was, a line feed, and the answer
--   schema       the version of all this

local prefix, verb, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local call = redis.call
local SEQ, HISTORY, BATCH = 12, 50, 1000  -- digits of a seq; attempts a task remembers; elements a call
local SENDING = 10  -- seconds, as in protocol.py

local function exact(time)
  return string.format('%.17g', time)
end

if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1000000
end
local moment = exact(now)  -- numbers in calls cost the server more than text
if call('GET', prefix .. 'schema') ~= '2' then
  return redis.error_reply('EMPTIED the schema is missing')
end

local function before(time)
  return '(' .. exact(time)
end

-- ------------------------------------------------------------------ the sets that tasks are in

local left, entered, news = {}, {}, {}

local function leave(set, place)
  left[set] = left[set] or {}
  table.insert(left[set], place)
end

local function enter(set, time, place)
  entered[set] = entered[set] or {}
  table.insert(entered[set], time)
  table.insert(entered[set], place)
end

local function wait(type, due, place)
  enter('due:' .. type, due, place)
  news[type] = (news[type] or 0) + 1
end

local function in_batches(command, key, values)
  for first = 1, #values, BATCH do
    call(command, key, unpack(values, first, math.min(first + BATCH - 1, #values)))
  end
end

local function move()
  for set, places in pairs(left) do in_batches('ZREM', prefix .. set, places) end
  for set, places in pairs(entered) do in_batches('ZADD', prefix .. set, places) end
  left, entered = {}, {}
end

-- Wake at most one sleeper for each task that is news to it. A sleeper is woken once, until it sleeps again.
local function ring()
  if not next(news) then return end
  for _, sleeper in ipairs(call('ZRANGEBYSCORE', prefix .. 'sleepers', now, '+inf')) do
    local holder, types = sleeper:match('^([^\n]*)(.*)$')
    for type, tasks in pairs(news) do
      if tasks > 0 and (types:find('\n' .. type .. '\n', 1, true) or types:find('[*?%[]')) then
        news[type] = tasks - 1
        call('ZREM', prefix .. 'sleepers', sleeper)
        call('RPUSH', prefix .. 'wake:' .. holder, '1')
        call('EXPIRE', prefix .. 'wake:' .. holder, 5)
        break
      end
    end
  end
end

-- ------------------------------------------------------------------ what the verbs share

local function fields(id, ...)
  return unpack(call('HMGET', prefix .. 'task:' .. id, ...))
end

local function set(id, ...)
  call('HSET', prefix .. 'task:' .. id, ...)
end

-- A script whose first write is not refused for lack of memory may go on: workers can drain a server that is full.
local function go_on_when_full()
  call('DEL', prefix .. 'nothing')
end

local function ids_of(key)
  return (call('HGET', prefix .. 'keys', key) or ''):gmatch('[^\n]+')
end

local function holder_of(key)
  for id in ids_of(key) do
    local state, finished, window = fields(id, 'state', 'finished', 'window')
    if state == 'waiting' or state == 'running' or (state and finished + window > now) then return id end
  end
end

-- Add an attempt that did not end in done. The same wait over and over is one line with a count.
local function remember(id, attempt, started, holder, history, outcome, reason)
  local lines, times = {}, 1
  for line in (history or ''):gmatch('[^\n]+') do table.insert(lines, line) end
  local ending = '"outcome":"' .. outcome .. '","reason":' .. reason .. '}'
  if outcome == 'Wait' and #lines > 0 and lines[#lines]:sub(-#ending) == ending then
    local since, before = table.remove(lines):match('^{"started":([^,]+),"times":(%d+)')
    started, times = since, before + 1
  end
  table.insert(lines, string.format('{"started":%s,"times":%d,"attempt":%s,"ended":%s,"holder":"%s",%s',
    started, times, attempt, moment, holder, ending))
  set(id, 'history', table.concat(lines, '\n', math.max(1, #lines - HISTORY + 1)))
end

-- Tasks whose lease ran out wait again with one crash more; a holder without a sign of life for a lease is forgotten.
local function recover(lease)
  local why = 'the worker died or froze: its lease ran out'
  call('ZREMRANGEBYSCORE', prefix .. 'holders', '-inf', now - lease)
  call('ZREMRANGEBYSCORE', prefix .. 'sleepers', '-inf', before(now))
  for _, place in ipairs(call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', before(now), 'LIMIT', 0, BATCH)) do
    local id = place:sub(SEQ + 1)
    local type, due, attempt, started, holder, history, crashes =
      fields(id, 'type', 'due', 'attempt', 'started', 'holder', 'history', 'crashes')
    remember(id, attempt, started, holder, history, 'Crash', '"' .. why .. '"')
    set(id, 'state', 'waiting', 'crashes', (crashes or 0) + 1, 'holder', '', 'reason', '"crash: ' .. why .. '"')
    call('HINCRBYFLOAT', prefix .. 'counters', 'attempts:' .. type .. ':crash', 1)
    leave('leases', place)
    wait(type, due, place)
  end
  move()
end

-- Return a holder's tasks, of those claims or of all, with their attempts.
local function give_back(holder, claims)
  for _, place in ipairs(call('ZRANGE', prefix .. 'leases', 0, -1)) do
    local id = place:sub(SEQ + 1)
    local type, due, attempt, owner, claim = fields(id, 'type', 'due', 'attempt', 'holder', 'claim')
    if owner == holder and (not claims or claims:find(' ' .. claim .. ' ', 1, true)) then
      set(id, 'state', 'waiting', 'attempt', attempt - 1, 'holder', '')
      leave('leases', place)
      wait(type, due, place)
    end
  end
  move()
end

local function names_of(patterns)
  local names = {}
  for _, pattern in ipairs(patterns) do
    if not pattern:find('[*?%[]') then
      names[pattern] = true
    else
      local cursor = '0'
      repeat
        local page = call('HSCAN', prefix .. 'types', cursor, 'MATCH', pattern, 'COUNT', BATCH)
        cursor = page[1]
        for i = 1, #page[2], 2 do names[page[2][i]] = true end
      until cursor == '0'
    end
  end
  return names
end

local function forget(id, seq, state, type, key)
  local place = seq .. id
  local set = { waiting = 'due:' .. type, failed = 'failed:' .. type, done = 'done' }
  leave(set[state], place)
  call('DEL', prefix .. 'task:' .. id)
  if call('HINCRBY', prefix .. 'types', type, -1) <= 0 then call('HDEL', prefix .. 'types', type) end
  if key ~= '' then
    local others = {}
    for other in ids_of(key) do
      if other ~= id then table.insert(others, other) end
    end
    if #others > 0 then
      call('HSET', prefix .. 'keys', key, table.concat(others, '\n'))
    else
      call('HDEL', prefix .. 'keys', key)
    end
  end
end
