-- What looks after queues. One call: what, and what it needs. Reply: soon, and what is said below.
local steps = {}

local function numbers(queue_name, names)
    local found = call('HMGET', P .. 'stats:' .. queue_name, unpack(names))
    for i = 1, #names do found[i] = tonumber(found[i] or 0) end
    return found
end

-- queue, dead letter, retention, window, size, stream, group: what is empty is as it is without.
function steps.declare(a)
    local key = P .. 'settings:' .. a[2]
    local names = {'dead_letter', 'retention_ms', 'dedup_window_ms', 'message_size_bytes', 'stream', 'group'}
    call('SADD', P .. 'queues', a[2])
    for i, name in ipairs(names) do
        local value = a[2 + i]
        if value == '' then
            call('HDEL', key, name)
        else
            call('HSET', key, name, value)
        end
    end
    return {-1}
end

-- The time by Redis' own clock, for a gateway that has none yet, unless it brings one.
function steps.hello(a)
    local t = call('TIME')
    local here = a[2] ~= '' and tonumber(a[2]) or t[1] * 1000 + math.floor(t[2] / 1000)
    return {-1, math.max(now, here)}
end

local function after(a, b)
    local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
    local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
    a_ms, b_ms = tonumber(a_ms), tonumber(b_ms)
    return a_ms > b_ms or (a_ms == b_ms and tonumber(a_seq) > tonumber(b_seq))
end

local READY, IN_FLIGHT, DELAYED, BLOCKED = 0, 1, 2, 3

local function waits(key, position, place)
    local at = call('ZSCORE', key, position)
    if not at then return nil end
    at = tonumber(at)
    if at <= now then return READY, 0 end
    return place, at - now
end

-- nil for what our group has finished and another has not.
local function place_in_stream(q, id, last)
    local place, ready_in = waits(q.flight, id, IN_FLIGHT)
    if not place then place, ready_in = waits(q.late, id, DELAYED) end
    if place then return place, ready_in end
    if after(id, last) then return READY, 0 end
end

local function place_in_parked(q, position)
    local place, ready_in = waits(q.late, position, DELAYED)
    if place then return place, ready_in end
    return BLOCKED, 0
end

-- Calls visit(position, fields, place, ready in) for what comes after a position until it says false.
local function each_in(q, key, from, place_of, visit)
    local step = math.max(1, math.min(100, math.floor(PAGE_SIZE_MAX / q.size_limit)))
    while true do
        local page = call('XRANGE', key, from, '+', 'COUNT', step)
        for _, e in ipairs(page) do
            local place, ready_in = place_of(e[1])
            if place and not visit(e[1], adopt(e[1], e[2]), place, ready_in) then return false end
        end
        if #page < step then return true end
        from = '(' .. page[#page][1]
    end
end

local function each(q, position, visit)
    local parked_from = '-'
    if string.sub(position, 1, 1) == 'p' then
        parked_from = '(' .. string.sub(position, 2)
    else
        local _, last = undelivered(q)
        local from = position == '' and '-' or '(' .. position
        local function place_of(id) return place_in_stream(q, id, last) end
        if not each_in(q, q.stream, from, place_of, visit) then return end
    end
    each_in(q, q.parked, parked_from, function(id) return place_in_parked(q, 'p' .. id) end,
        function(id, f, place, ready_in) return visit('p' .. id, f, place, ready_in) end)
end

-- A page of it, read before anything is changed.
local function page_of(q, max, wanted)
    local page = {}
    each(q, '', function(position, f, place)
        if wanted(f, place) then page[#page + 1] = {position, f} end
        return #page < max
    end)
    return page
end

-- queue, after, max. As receive's messages.
function steps.browse(a)
    local q, after_position, max = queue(a[2]), a[3], tonumber(a[4])
    local found, size = {}, 0
    each(q, after_position, function(position, f, place, ready_in)
        local state = call('HGET', q.state, position)
        local p = state_read(state or 'W 0 0 0 ')
        found[#found + 1] = {position, place, ready_in, tonumber(p.received), p.first, p.last, f}
        size = size + #f[4]
        return #found < max and size < PAGE_SIZE_MAX
    end)
    return {-1, wall, found, {}}
end

-- queue, max. How many.
function steps.purge(a)
    local q = queue(a[2])
    local page = page_of(q, tonumber(a[3]), function() return true end)
    for _, m in ipairs(page) do remove(q, position_now(q, m[1]), field(m[2], 'group')) end
    count(q, 'purged', #page)
    return {soon, #page}
end

local function redrive_one(from, to_name, position, f)
    to_name = to_name ~= '' and to_name or field(f, 'died_in')
    if not to_name or to_name == from.name then return 0 end
    move(from, queue(to_name), position_now(from, position), f, {})
    count(from, 'redriven', 1)
    return 1
end

-- from, to or empty, max, positions. How many.
function steps.redrive(a)
    local from, to_name, max = queue(a[2]), a[3], tonumber(a[4])
    local moved, page = 0, {}
    for i = 5, #a do
        local f = find(from, a[i])
        local flight = waits(from.flight, a[i], IN_FLIGHT)
        if f and flight ~= IN_FLIGHT then page[#page + 1] = {a[i], f} end
    end
    if #a < 5 then
        page = page_of(from, max, function(f, place)
            return place ~= IN_FLIGHT and (to_name ~= '' or field(f, 'died_in'))
        end)
    end
    for _, m in ipairs(page) do moved = moved + redrive_one(from, to_name, m[1], m[2]) end
    return {soon, moved}
end

-- Of the message that comes next.
local function oldest_age(q)
    local head = undelivered(q)
    local f = head and adopt(head[1], head[2])
    local best = f and due_of(f)
    for _, key in ipairs({q.flight, q.late}) do
        local first = call('ZRANGEBYSCORE', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
        local at, fields = tonumber(first[2]), first[1] and find(q, first[1])
        if fields and (not best or at < best) then best, f = at, fields end
    end
    return f and math.max(0, now - due_of(f)) or 0
end

local function waiting_in_stream(q)
    local entries, groups = call('XLEN', q.stream), redis.pcall('XINFO', 'GROUPS', q.stream)
    for _, g in ipairs(groups) do
        local about = {}
        for i = 1, #g, 2 do about[g[i]] = g[i + 1] end
        if about.name == q.group then
            if keeps_entries(q) then return tonumber(about.lag or 0) or 0 end
            return entries - about.pending
        end
    end
    return entries
end

local COUNTERS = {'blocked', 'sent', 'duplicates', 'received', 'acknowledged', 'retried', 'buried', 'expired',
    'purged', 'redriven'}

-- queue or empty for all. For each: name, ready, in flight, delayed, age of the oldest, then COUNTERS.
function steps.stats(a)
    local names, reply = {a[2]}, {-1}
    if a[2] == '' then
        names = call('SMEMBERS', P .. 'queues')
        table.sort(names)
    end
    for _, name in ipairs(names) do
        local q = queue(name)
        sweep(q)
        tell()
        local late_due = call('ZCOUNT', q.late, '-inf', now)
        local flight_due = call('ZCOUNT', q.flight, '-inf', now)
        reply[#reply + 1] = name
        reply[#reply + 1] = waiting_in_stream(q) + late_due + flight_due
        reply[#reply + 1] = call('ZCARD', q.flight) - flight_due
        reply[#reply + 1] = call('ZCARD', q.late) - late_due
        reply[#reply + 1] = oldest_age(q)
        for _, n in ipairs(numbers(name, COUNTERS)) do reply[#reply + 1] = n end
    end
    return reply
end

-- Entries that another program read in our group and never finished are received again.
local function adopt_orphans(q, consumer, idle_ms)
    local claimed = redis.pcall('XAUTOCLAIM', q.stream, q.group, consumer, idle_ms, '0', 'COUNT', 100, 'JUSTID')
    if claimed.err then return end
    for _, id in ipairs(claimed[2]) do
        if call('HEXISTS', q.state, id) == 0 then
            call('HSET', q.state, id, 'W 0 0 0 ')
            call('ZADD', q.late, now, id)
        end
    end
end

-- Gateways that went without a word and have nothing left to reclaim.
local function forget_consumers(q, idle_ms)
    local consumers = redis.pcall('XINFO', 'CONSUMERS', q.stream, q.group)
    for _, c in ipairs(consumers) do
        local about = {}
        for i = 1, #c, 2 do about[c[i]] = c[i + 1] end
        if string.sub(about.name, 1, 9) == 'execgate-' and about.pending == 0 and about.idle >= idle_ms then
            call('XGROUP', 'DELCONSUMER', q.stream, q.group, about.name)
        end
    end
end

-- consumer, idle time of orphans, of consumers (both empty: not this time), queues. For each: when there may be more.
function steps.look(a)
    local reply = {-1}
    for i = 5, #a do
        local q = queue(a[i])
        sweep(q)
        if a[3] ~= '' then
            adopt_orphans(q, a[2], a[3])
            forget_consumers(q, tonumber(a[4]))
        end
        reply[#reply + 1] = undelivered(q) and 0 or next_ready(q)
    end
    return reply
end

-- consumer, queues. A consumer with something pending stays, so that it can be seen.
function steps.leave(a)
    for i = 3, #a do
        local q = queue(a[i])
        local consumers = redis.pcall('XINFO', 'CONSUMERS', q.stream, q.group)
        for _, c in ipairs(consumers) do
            local about = {}
            for k = 1, #c, 2 do about[c[k]] = c[k + 1] end
            if about.name == a[2] and about.pending == 0 then
                call('XGROUP', 'DELCONSUMER', q.stream, q.group, a[2])
            end
        end
    end
    return {-1}
end

local function run(all, at, last)
    local a = {}
    for i = at, last do a[i - at + 1] = all[i] end
    return steps[a[1]](a)
end
