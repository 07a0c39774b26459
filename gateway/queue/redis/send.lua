-- One call: for each message queue, size, delay, id and time of the send, body, and its optional fields as names and
-- values in MessagePack, or nothing. The delay of an import has a blank and how long its id is remembered behind it. Reply: soon, then for each 0 or the id of the first message with its dedup id; or
-- soon, 'refused', index, limit of the size.
local FIELDS = 6

local function earlier(q, kind, name, window, id)
    local key = P .. kind .. ':' .. #q.name .. ':' .. q.name .. ':' .. name
    local known = call('GET', key)
    if known then
        local until_ms, first = string.match(known, '^(%d+) (.*)$')
        if tonumber(until_ms) > now then return first end
    end
    -- Redis forgets it some time later; until then the time within is what counts.
    call('SET', key, (now + window) .. ' ' .. id, 'PX', window + 60000)
end

-- An import is known by its id, if by anything; others by their dedup id. `once` is nil for these.
local function earlier_of(q, f, about, once)
    local dedup = field(f, 'dedup')
    if not once and not dedup then return nil end
    local id = string.match(about, '^(.*) %d+$')
    if not once then return earlier(q, 'dedup', dedup, q.dedup_window, id) end
    return once > 0 and earlier(q, 'imported', id, once, id) or nil
end

local function send_one(a, at)
    local q, delay, once = queue(a[at]), tonumber(a[at + 2]), nil
    if not delay then
        delay, once = string.match(a[at + 2], '^(%d+) (%d+)$')
        delay, once = tonumber(delay), tonumber(once)
    end
    local due = now + delay
    local f = {'message', a[at + 3] .. ' ' .. due, 'body', a[at + 4]}
    if a[at + 5] ~= '' then
        for i, word in ipairs(cmsgpack.unpack(a[at + 5])) do f[4 + i] = word end
    end
    local first = (once or f[5]) and earlier_of(q, f, a[at + 3], once)
    if first then
        count(q, 'duplicates', 1)
        return first
    end
    add(q, f, due)
    count(q, 'sent', 1)
    return 0
end

local function run(a, first, last)
    for at = first, last, FIELDS do
        local limit = queue(a[at]).size_limit
        if tonumber(a[at + 1]) > limit then return {-1, 'refused', (at - first) / FIELDS, limit} end
    end
    local reply = {-1}
    for at = first, last, FIELDS do reply[#reply + 1] = send_one(a, at) end
    reply[1] = soon
    return reply
end
