-- One call: queue, max, visibility, consumer. Reply: milliseconds until there may be more (-1: unknown), the wall clock,
-- those that were received before, each as position, place, ready in, receive count, first and last received, fields, and
-- those that were not, as entries of the stream.
local q, max, visible_at, consumer
local known, new, flights, states, size = {}, {}, {}, {}, 0
local NEW_STATE = 'F 1 ' .. wall .. ' ' .. wall .. ' '

-- A group is made when it is first missed; without a stream there is nothing to read.
local function with_group(...)
    local reply = redis.pcall(...)
    if type(reply) ~= 'table' or not reply.err then return reply end
    if not string.find(reply.err, 'NOGROUP', 1, true) then error(reply.err) end
    if call('EXISTS', q.stream) == 0 then return false end
    call('XGROUP', 'CREATE', q.stream, q.group, '0')
    return call(...)
end

local function has_expired(id)
    local at = call('ZSCORE', q.expiry, id)
    return at and tonumber(at) <= now
end

local function take(id, f, state)
    flights[#flights + 1] = visible_at
    flights[#flights + 1] = id
    states[#states + 1] = id
    states[#states + 1] = state
    size = size + #f[4]
end

local function take_known(id, f, state)
    if expires(q) and has_expired(id) then return expire(q, id, f) end
    local p = state_read(state)
    local received, first = p.received + 1, p.first ~= '0' and p.first or wall
    take(id, f, 'F ' .. received .. ' ' .. first .. ' ' .. wall .. ' ' .. (p.group or ''))
    known[#known + 1] = {id, 0, 0, received, first, wall, f}
end

local function take_new(e)
    local id, f = e[1], adopt(e[1], e[2])
    if expires(q) and has_expired(id) then return expire(q, id, f) end
    local group = f[5] and field(f, 'group')
    take(id, f, group and NEW_STATE .. group or NEW_STATE)
    e[2] = f
    new[#new + 1] = e
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
    local e, state = claimed and claimed[1], call('HGET', q.state, id) or 'W 0 0 0 '
    call('ZREM', q.late, id)
    if e and e[2] then return take_known(id, adopt(id, e[2]), state) end
    remove(q, id, state_read(state).group) -- somebody has trimmed it away
end

local function read_new()
    local step = math.max(1, math.floor(PAGE_SIZE_MAX / q.size_limit))
    while #known + #new < max and size < PAGE_SIZE_MAX do
        local wanted = math.min(step, max - #known - #new)
        local reply = with_group('XREADGROUP', 'GROUP', q.group, consumer, 'COUNT', wanted, 'STREAMS', q.stream, '>')
        if not reply or not reply[1] then return end
        local entries = reply[1][2]
        for i = 1, #entries do take_new(entries[i]) end
        if #entries < wanted then return end
    end
end

-- Those that came back stand in line with the new ones by when they are due.
local function receive()
    local due, next_due = due_entries(), 1
    local head = due[1] and undelivered(q)
    local head_due = head and due_of(adopt(head[1], head[2]))
    local function reclaim_until(at)
        while due[next_due] and #known + #new < max and size < PAGE_SIZE_MAX and (not at or due[next_due][2] <= at) do
            reclaim(due[next_due][1])
            next_due = next_due + 1
        end
    end
    reclaim_until(head_due)
    read_new()
    reclaim_until(nil)
end

local function how_soon(taken)
    if size >= PAGE_SIZE_MAX then return 0 end
    return taken < max and next_ready(q) or -1
end

local function run(a, at)
    q, max, consumer = queue(a[at]), tonumber(a[at + 1]), a[at + 3]
    visible_at = tostring(now + tonumber(a[at + 2]))
    sweep(q)
    receive()
    local taken = #known + #new
    if taken > 0 then
        call('ZADD', q.flight, unpack(flights))
        call('HSET', q.state, unpack(states))
        count(q, 'received', taken)
    end
    return {how_soon(taken), wall, known, new}
end
