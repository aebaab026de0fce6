-- The verbs of the Redis queue, each one atomic; redis_schema.lua comes before. KEYS[1] is the prefix of all keys. ARGV:
-- the verb, the time if it is not to be this server's, and what the verb needs. Payloads are only carried.

-- ------------------------------------------------------------------ the way of a task

local verbs = {}

-- why they failed, '' if they did not; nine a task: id, type, payload, key, window, source, created, reply, due
-- → the id that holds the key, or '' if it is new
function verbs.put()
  local answers, amounts, failed = {}, {}, ARGV[3]
  local seq = call('INCRBY', prefix .. 'serial', (#ARGV - 3) / 9) - (#ARGV - 3) / 9
  for i = 4, #ARGV, 9 do
    local id, type, payload, key, window, source, created, reply, due = unpack(ARGV, i, i + 8)
    local holder = key ~= '' and holder_of(key)
    if not holder and call('HSETNX', prefix .. 'task:' .. id, 'type', type) == 1 then
      seq = seq + 1
      if due == '0' then due = moment end
      local digits = string.format('%0' .. SEQ .. 'x', seq)
      set(id, 'seq', digits, 'state', 'waiting', 'due', due, 'payload', payload, 'key', key, 'window', window,
        'source', source, 'created', created)
      if reply ~= '' then set(id, 'reply', reply) end
      if failed == '' then
        wait(type, due, digits .. id)
      else
        set(id, 'state', 'failed', 'finished', moment, 'reason', failed)
        enter('failed:' .. type, now, digits .. id)
      end
      amounts[type] = (amounts[type] or 0) + 1
      if key ~= '' then call('HSET', prefix .. 'keys', key, id) end
    end
    table.insert(answers, holder or '')
  end
  for type, amount in pairs(amounts) do call('HINCRBY', prefix .. 'types', type, amount) end
  return answers
end

-- holder, its row, the claim's number, numbers of claims that were never answered, lease, limit, patience, types …
-- → the time, seconds until the next is due, and twelve values a task, as `_delivery_of` reads them
function verbs.claim()
  local holder, row, claim, unanswered, lease, limit, patience = unpack(ARGV, 3, 9)
  local patterns = { unpack(ARGV, 10) }
  local sleeper = holder .. '\n' .. table.concat(patterns, '\n') .. '\n'
  go_on_when_full()
  call('ZADD', prefix .. 'holders', now, row)
  call('ZREM', prefix .. 'sleepers', sleeper)
  if unanswered ~= '' then give_back(holder, unanswered) end
  recover(lease)

  local names, found, claimed, soonest = names_of(patterns), {}, {}, math.huge
  for name in pairs(names) do
    local due = call('ZRANGEBYSCORE', prefix .. 'due:' .. name, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
    for i = 1, #due, 2 do table.insert(found, { tonumber(due[i + 1]), due[i], name }) end
  end
  if next(names, next(names)) then  -- of one type they come in order
    table.sort(found, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  end

  local count = math.min(#found, tonumber(limit))
  local fence, till = call('INCRBY', prefix .. 'serial', count) - count, exact(now + lease)
  for i = 1, count do
    local _, place, type = unpack(found[i])
    local id = place:sub(SEQ + 1)
    local payload, key, window, source, created, reply, due, attempt, crashes =
      fields(id, 'payload', 'key', 'window', 'source', 'created', 'reply', 'due', 'attempt', 'crashes')
    attempt = (attempt or 0) + 1
    set(id, 'state', 'running', 'attempt', attempt, 'fence', fence + i, 'holder', holder, 'claim', claim, 'started', moment)
    leave('due:' .. type, place)
    enter('leases', till, place)
    local values =
      { id, type, payload, key, window, source, created, reply or '', due, attempt, fence + i, tonumber(crashes or 0) }
    for n, value in ipairs(values) do claimed[#values * (i - 1) + n] = value end
  end
  if count == 0 then
    for name in pairs(names) do
      local due = call('ZRANGE', prefix .. 'due:' .. name, 0, 0, 'WITHSCORES')
      if due[2] then soonest = math.min(soonest, due[2] - now) end
    end
    local ending = call('ZRANGE', prefix .. 'leases', 0, 0, 'WITHSCORES')  -- then its task may be claimed
    if ending[2] then soonest = math.min(soonest, ending[2] - now + 0.001) end
    if tonumber(patience) > 0 then call('ZADD', prefix .. 'sleepers', now + patience, sleeper) end
  end
  return { moment, exact(soonest), claimed }
end

-- the holder's row, lease, holder, and two a delivery: id, fence → the positions of those that were lost
function verbs.extend()
  local lost, till = {}, exact(now + ARGV[4])
  go_on_when_full()
  call('ZADD', prefix .. 'holders', now, ARGV[3])
  for i = 6, #ARGV, 2 do
    local state, fence, seq, holder = fields(ARGV[i], 'state', 'fence', 'seq', 'holder')
    if state == 'running' and fence == ARGV[i + 1] then
      enter('leases', till, seq .. ARGV[i])
      if holder ~= ARGV[5] then set(ARGV[i], 'holder', ARGV[5]) end
    else
      table.insert(lost, (i - 6) / 2)
    end
  end
  return lost
end

-- how many counters, name and value of each, and seven an outcome: id, fence, outcome, delay, reason, result, answer
-- → the positions of those that were lost
function verbs.settle()
  local lost, first = {}, 4 + 2 * ARGV[3]
  go_on_when_full()
  for i = 4, first - 1, 2 do call('HINCRBYFLOAT', prefix .. 'counters', ARGV[i], ARGV[i + 1]) end
  for i = first, #ARGV, 7 do
    local id, given, outcome, delay, reason, result, answer = unpack(ARGV, i, i + 6)
    local state, fence, seq = fields(id, 'state', 'fence', 'seq')
    local answered = answer ~= ''
    if state ~= 'running' or fence ~= given then
      table.insert(lost, (i - first) / 7)
    else
      leave('leases', seq .. id)
      if outcome == 'Done' then
        set(id, 'state', 'done', 'finished', moment, 'holder', '', 'reason', '""', 'result', result)
        enter('done', moment, seq .. id)
      else
        local type, attempt, started, holder, history = fields(id, 'type', 'attempt', 'started', 'holder', 'history')
        remember(id, attempt, started, holder, history, outcome, reason)
        if answered and outcome ~= 'BpmnError' then set(id, 'window', 0) end
        if outcome == 'Wait' and not answered then attempt = attempt - 1 end
        if answered and outcome ~= 'Fail' then
          set(id, 'state', 'done', 'due', now, 'finished', moment, 'holder', '', 'reason', reason)
          enter('done', moment, seq .. id)
        elseif outcome == 'Retry' or outcome == 'Wait' or outcome == 'Crash' then
          local again = now + delay
          if outcome == 'Crash' then  -- it keeps its place, so that it is soon known what it was
            call('HINCRBY', prefix .. 'task:' .. id, 'crashes', 1)
            again = fields(id, 'due')
          end
          set(id, 'state', 'waiting', 'due', again, 'attempt', attempt, 'holder', '', 'reason', reason)
          wait(type, again, seq .. id)
        else
          set(id, 'state', 'failed', 'due', now, 'finished', now, 'holder', '', 'reason', reason)
          enter('failed:' .. type, now, seq .. id)
        end
      end
      if answered then
        call('ZADD', prefix .. 'answers', now + SENDING, id .. '.' .. fence)
        call('HSET', prefix .. 'replies', id .. '.' .. fence, (fields(id, 'reply') or '{}') .. '\n' .. answer)
      end
    end
  end
  return lost
end

-- limit → id, and reply with answer, of each
function verbs.answers()
  local found = {}
  go_on_when_full()
  for _, id in ipairs(call('ZRANGEBYSCORE', prefix .. 'answers', '-inf', moment, 'LIMIT', 0, ARGV[3])) do
    call('ZADD', prefix .. 'answers', now + SENDING, id)
    table.insert(found, id)
    table.insert(found, call('HGET', prefix .. 'replies', id))
  end
  return found
end

-- ids
function verbs.sent()
  go_on_when_full()
  in_batches('ZREM', prefix .. 'answers', { unpack(ARGV, 3) })
  in_batches('HDEL', prefix .. 'replies', { unpack(ARGV, 3) })
end

-- holder, its row
function verbs.leave()
  go_on_when_full()
  give_back(ARGV[3])
  call('ZREM', prefix .. 'holders', ARGV[4])
  call('DEL', prefix .. 'wake:' .. ARGV[3])
end

-- ------------------------------------------------------------------ for the operator

-- how many states, the states, type patterns … → the places of tasks that may be meant
function verbs.find()
  local places, sets = {}, {}
  local names = names_of({ unpack(ARGV, 4 + ARGV[3]) })
  for i = 4, 3 + ARGV[3] do
    local set = ({ waiting = 'due:', running = 'leases', failed = 'failed:', done = 'done' })[ARGV[i]]
    if set:sub(-1) ~= ':' then
      table.insert(sets, set)
    else
      for name in pairs(names) do table.insert(sets, set .. name) end
    end
  end
  for _, set in ipairs(sets) do
    for _, place in ipairs(call('ZRANGE', prefix .. set, 0, -1)) do table.insert(places, place) end
  end
  return places
end

-- ids → the fields and values of each
function verbs.read()
  local found = {}
  for i = 3, #ARGV do found[i - 2] = call('HGETALL', prefix .. 'task:' .. ARGV[i]) end
  return found
end

-- ids
function verbs.requeue()
  local count = 0
  for i = 3, #ARGV do
    local id = ARGV[i]
    local state, seq, type, key = fields(id, 'state', 'seq', 'type', 'key')
    if state == 'failed' then
      count = count + 1
      set(id, 'state', 'waiting', 'due', now, 'attempt', 0, 'crashes', 0, 'finished', '')
      leave('failed:' .. type, seq .. id)
      wait(type, now, seq .. id)
      if key ~= '' then
        local ids = { id }
        for other in ids_of(key) do
          if other ~= id then table.insert(ids, other) end
        end
        call('HSET', prefix .. 'keys', key, table.concat(ids, '\n'))
      end
    end
  end
  return count
end

-- ids
function verbs.delete()
  local count = 0
  for i = 3, #ARGV do
    local state, seq, type, key = fields(ARGV[i], 'state', 'seq', 'type', 'key')
    if state and state ~= 'running' then
      count = count + 1
      forget(ARGV[i], seq, state, type, key)
    end
  end
  return count
end

-- older_than
function verbs.prune()
  local count, seen = 0, 0
  repeat
    local places = call('ZRANGEBYSCORE', prefix .. 'done', '-inf', before(now - ARGV[3]), 'LIMIT', seen, BATCH)
    for _, place in ipairs(places) do
      local id = place:sub(SEQ + 1)
      local seq, type, key, finished, window = fields(id, 'seq', 'type', 'key', 'finished', 'window')
      if count < BATCH and (key == '' or finished + window < now) then
        count = count + 1
        forget(id, seq, 'done', type, key)
      end
    end
    seen = seen + #places
  until #places < BATCH or count >= BATCH
  return count
end

-- → rows of (type, waiting, failed), of (type, holder, since) for each running task, seconds the oldest waits,
-- counters, holders, the time, how many answers are not sent yet
function verbs.counts()
  local types, running, oldest = {}, {}, now
  for _, type in ipairs(call('HKEYS', prefix .. 'types')) do
    local due, failed = prefix .. 'due:' .. type, prefix .. 'failed:' .. type
    table.insert(types, { type, call('ZCARD', due), call('ZCARD', failed) })
    oldest = math.min(oldest, call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or now)
  end
  for _, place in ipairs(call('ZRANGE', prefix .. 'leases', 0, -1)) do
    table.insert(running, { fields(place:sub(SEQ + 1), 'type', 'holder', 'started') })
  end
  return { types, running, exact(now - oldest), call('HGETALL', prefix .. 'counters'),
    call('ZRANGE', prefix .. 'holders', 0, -1, 'WITHSCORES'), moment, call('ZCARD', prefix .. 'answers') }
end

-- what, who, '1' to take it → the owner
function verbs.own()
  call(ARGV[5] == '1' and 'HSET' or 'HSETNX', prefix .. 'owners', ARGV[3], ARGV[4])
  return call('HGET', prefix .. 'owners', ARGV[3])
end

local answer = verbs[verb]()
move()
ring()
return answer
