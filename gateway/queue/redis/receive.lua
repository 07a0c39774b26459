-- ARGV: queue, max, visibility, consumer. Reply: time, milliseconds until there may be more (-1: unknown), messages;
-- each is position, place, ready in, receive count, first and last received, fields.
local q, max, visibility, consumer = queue(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local taken, flights, states, size = {}, {}, {}, 0

-- A group is made when it is first missed; without a stream there is nothing to read.
local function with_group(...)
    local reply = redis.pcall(...)
    if type(reply) ~= 'table' or not reply.err then return reply end
    if not string.find(reply.err, 'NOGROUP', 1, true) then error(reply.err) end
    if call('EXISTS', q.stream) == 0 then return false end
    call('XGROUP', 'CREATE', q.stream, q.group, '0')
    return call(...)
end

local function take(id, f, state)
    local received, first, group = 0, wall, field(f, 'group') or ''
    if state then
        local _, so_far, since = state_read(state)
        received = tonumber(so_far)
        if since ~= '0' then first = since end
    end
    if expires(q) then
        local at = call('ZSCORE', q.expiry, id)
        if at and tonumber(at) <= now then return expire(q, id, f) end
    end
    received = received + 1
    flights[#flights + 1] = now + visibility
    flights[#flights + 1] = id
    states[#states + 1] = id
    states[#states + 1] = 'F ' .. received .. ' ' .. first .. ' ' .. wall .. ' ' .. group
    taken[#taken + 1] = {id, 0, 0, received, first, wall, f}
    size = size + #f[8]
end

-- Entries that were received before and are due again; what was parked and is due joins the stream.
local function due_entries()
    local due = {}
    for _, key in ipairs({q.flight, q.late}) do
        local r = call('ZRANGEBYSCORE', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, max)
        for i = 1, #r, 2 do
            if string.sub(r[i], 1, 1) ~= 'p' then
                due[#due + 1] = {r[i], tonumber(r[i + 1]), #due}
            else
                local f = find(q, r[i])
                call('ZREM', q.late, r[i])
                if f then unpark(q, string.sub(r[i], 2), f) end
            end
        end
    end
    table.sort(due, function(a, b) return a[2] < b[2] or (a[2] == b[2] and a[3] < b[3]) end)
    return due
end

local function reclaim(id)
    local claimed = with_group('XCLAIM', q.stream, q.group, consumer, 0, id, 'FORCE')
    local e, state = claimed and claimed[1], call('HGET', q.state, id)
    call('ZREM', q.late, id)
    if e and e[2] then return take(id, adopt(id, e[2]), state) end
    -- Somebody has trimmed it away.
    local _, _, _, _, group = state_read(state or 'W 0 0 0 ')
    remove(q, id, group)
end

local function read_new()
    local step = math.max(1, math.floor(PAGE_SIZE_MAX / q.size_limit))
    while #taken < max and size < PAGE_SIZE_MAX do
        local wanted = math.min(step, max - #taken)
        local reply = with_group('XREADGROUP', 'GROUP', q.group, consumer, 'COUNT', wanted, 'STREAMS', q.stream, '>')
        if not reply or not reply[1] then return end
        local entries = reply[1][2]
        for i = 1, #entries do take(entries[i][1], adopt(entries[i][1], entries[i][2])) end
        if #entries < wanted then return end
    end
end

-- Those that came back stand in line with the new ones by when they are due.
local function receive()
    local due, next_due = due_entries(), 1
    local head = due[1] and undelivered(q)
    local head_due = head and tonumber(adopt(head[1], head[2])[6])
    local function reclaim_until(at)
        while due[next_due] and #taken < max and size < PAGE_SIZE_MAX and (not at or due[next_due][2] <= at) do
            reclaim(due[next_due][1])
            next_due = next_due + 1
        end
    end
    reclaim_until(head_due)
    read_new()
    reclaim_until(nil)
end

sweep(q)
receive()
if #taken > 0 then
    call('ZADD', q.flight, unpack(flights))
    call('HSET', q.state, unpack(states))
    count(q, 'received', #taken)
end
local more = -1
if size >= PAGE_SIZE_MAX then
    more = 0
elseif #taken < max then
    more = next_ready(q)
end
q.ready = false
finish()
return {now, more, taken}
