-- How a message moves within a queue, and leaves. Whatever moves is added to its new place before it is taken from the
-- old one, so that no error in between can lose it.
local function is_ours(f)
    return f[1] == 'message' and f[3] == 'body'
end

-- What another program wrote to a shared stream: the field `body` and the others as attributes, or all of them as JSON.
local function adopt(id, f)
    if is_ours(f) then return f end
    local body, attributes, all = nil, {}, {}
    for i = 1, #f, 2 do
        all[f[i]] = f[i + 1]
        if f[i] == 'body' then
            body = f[i + 1]
        else
            attributes[#attributes + 1] = struct.pack('<BI4I4', 0, #f[i], #f[i + 1]) .. f[i] .. f[i + 1]
        end
    end
    if #attributes > 64 then body = nil end
    local ms = string.match(id, '^%d+')
    local adopted = {'message', id .. ' ' .. ms .. ' ' .. ms, 'body', body or cjson.encode(all)}
    if body and #attributes > 0 then
        adopted[5], adopted[6] = 'attributes', table.concat(attributes)
    end
    return adopted
end

-- From `parked` to the stream's end. Who goes through a page of positions finds it there (position_now).
local function unpark(q, id, f)
    local position = call('XADD', q.stream, '*', unpack(f))
    q.unparked = q.unparked or {}
    q.unparked['p' .. id] = position
    call('XDEL', q.parked, id)
    call('ZREM', q.late, 'p' .. id)
    local at = expires(q) and call('ZSCORE', q.expiry, 'p' .. id)
    if at then
        call('ZADD', q.expiry, at, position)
        call('ZREM', q.expiry, 'p' .. id)
    end
    ready_in(0)
end

-- Of a message that had this position when the script began.
local function position_now(q, position)
    return q.unparked and q.unparked[position] or position
end

-- After the first of a group is gone, the next one is due when it would have been on its own.
local function advance(q, group)
    if not group then return end
    local id = call('LPOP', group_key(q, group))
    while id do
        count(q, 'blocked', -1)
        local e = call('XRANGE', q.parked, id, id)[1]
        if e then
            local due = due_of(e[2])
            if due <= now then
                unpark(q, id, e[2])
            else
                call('ZADD', q.late, due, 'p' .. id)
                ready_in(due - now)
            end
            return
        end
        id = call('LPOP', group_key(q, group))
    end
    call('HDEL', q.heads, group)
end

-- The entries of a stream that other groups read too stay for them.
local function keeps_entries(q)
    if q.keeps == nil then q.keeps = q.shared and #call('XINFO', 'GROUPS', q.stream) > 1 or false end
    return q.keeps
end

-- Several received entries at once, without a word about their groups.
local function drop(q, ids)
    if #ids == 0 then return end
    call('ZREM', q.flight, unpack(ids))
    call('HDEL', q.state, unpack(ids))
    call('XACK', q.stream, q.group, unpack(ids))
    if not keeps_entries(q) then call('XDEL', q.stream, unpack(ids)) end
    if expires(q) then call('ZREM', q.expiry, unpack(ids)) end
end

-- Any message, from any place.
local function remove(q, position, group)
    if string.sub(position, 1, 1) ~= 'p' then
        call('ZREM', q.late, position)
        drop(q, {position})
        if q.shared then call('XDEL', q.stream, position) end
        return advance(q, group)
    end
    local id = string.sub(position, 2)
    call('XDEL', q.parked, id)
    if expires(q) then call('ZREM', q.expiry, position) end
    if call('ZREM', q.late, position) == 1 then return advance(q, group) end
    if group and call('LREM', group_key(q, group), 1, id) == 1 then count(q, 'blocked', -1) end
end

-- As one that was never received, to the end of another queue; `death` is what is added to it.
local DEATH = {died_in = true, reason = true, error = true, attempts = true, died = true}
local function move(from, to, position, f, death)
    local moved = {}
    for i = 1, #f, 2 do
        if i < 5 or not DEATH[f[i]] then
            moved[#moved + 1] = f[i]
            moved[#moved + 1] = f[i + 1]
        end
    end
    moved[2] = string.match(f[2], '^.* ') .. now
    for i = 1, #death do moved[#moved + 1] = death[i] end
    add(to, moved, now)
    call('SADD', P .. 'queues', to.name)
    remove(from, position, field(f, 'group'))
end

local function bury(q, position, f, reason, why, attempts)
    move(q, queue(q.dead_letter), position, f,
        {'died_in', q.name, 'reason', reason, 'error', why, 'attempts', attempts, 'died', wall})
end

-- F (in flight) or W (waits), receive count, first and last received, group. Messages of one receive mostly share it.
local parsed = {}
local function state_read(state)
    local p = parsed[state]
    if not p then
        local place, received, first, last, group = string.match(state, '^(%a) (%d+) (%d+) (%d+) (.*)$')
        p = {place = place, received = received, first = first, last = last, group = group ~= '' and group}
        parsed[state] = p
    end
    return p
end

local function expire(q, position, f)
    local state = call('HGET', q.state, position)
    local attempts = state and state_read(state).received or '0'
    count(q, 'expired', 1)
    if q.dead_letter then
        bury(q, position, f, 'expired', '', attempts)
    else
        remove(q, position, field(f, 'group'))
    end
end

local function find(q, position)
    if string.sub(position, 1, 1) == 'p' then
        local id = string.sub(position, 2)
        local e = call('XRANGE', q.parked, id, id)[1]
        return e and e[2]
    end
    local e = call('XRANGE', q.stream, position, position)[1]
    return e and adopt(position, e[2])
end

local function sweep_one(q, position)
    local until_ms = call('ZSCORE', q.flight, position)
    if until_ms and tonumber(until_ms) > now then return false end
    local f = find(q, position)
    if f then
        expire(q, position, f)
    else
        call('ZREM', q.expiry, position)
    end
    return true
end

-- Some pages of what has expired. What is in flight is passed over: it may still be acknowledged. A group that moves on
-- may bring up another one, hence one more look.
local SWEEP_PAGE, SWEEP_PAGES = 256, 4
local function sweep(q)
    if not expires(q) then return end
    local kept = 0
    for _ = 1, SWEEP_PAGES do
        local page = call('ZRANGEBYSCORE', q.expiry, '-inf', now, 'LIMIT', kept, SWEEP_PAGE)
        local swept = 0
        for _, position in ipairs(page) do
            if sweep_one(q, position) then swept = swept + 1 end
        end
        if swept == 0 then return end
        kept = kept + #page - swept
    end
end

-- How long until a receive that found nothing may find something; -1 = nothing waits for the time.
local function next_ready(q)
    local at
    for _, key in ipairs({q.flight, q.late}) do
        local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
        if first and (not at or tonumber(first) < at) then at = tonumber(first) end
    end
    if not at then return -1 end
    return at > now and at - now or 0
end

-- The stream's first entry that nobody has received, and the last one that somebody has.
local function undelivered(q)
    local last, groups = '0-0', redis.pcall('XINFO', 'GROUPS', q.stream)
    for _, g in ipairs(groups) do
        local about = {}
        for i = 1, #g, 2 do about[g[i]] = g[i + 1] end
        if about.name == q.group then last = about['last-delivered-id'] end
    end
    return call('XRANGE', q.stream, '(' .. last, '+', 'COUNT', 1)[1], last
end
