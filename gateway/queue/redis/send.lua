-- One call: for each message queue, size, delay, id and time of the send, body, and its optional fields as names and
-- values in MessagePack, or nothing. Reply: soon, then for each 0 or the id of the first message with its dedup id; or
-- soon, 'refused', index, limit of the size.
local FIELDS = 6

local function earlier(q, dedup, id)
    local key = P .. 'dedup:' .. #q.name .. ':' .. q.name .. ':' .. dedup
    local known = call('GET', key)
    if known then
        local until_ms, first = string.match(known, '^(%d+) (.*)$')
        if tonumber(until_ms) > now then return first end
    end
    -- Redis forgets it some time later; until then the time within is what counts.
    call('SET', key, (now + q.dedup_window) .. ' ' .. id, 'PX', q.dedup_window + 60000)
end

local function send_one(a, at)
    local q, due = queue(a[at]), now + tonumber(a[at + 2])
    local f = {'message', a[at + 3] .. ' ' .. due, 'body', a[at + 4]}
    if a[at + 5] ~= '' then
        for i, word in ipairs(cmsgpack.unpack(a[at + 5])) do f[4 + i] = word end
        local dedup = field(f, 'dedup')
        local first = dedup and earlier(q, dedup, string.match(a[at + 3], '^(.*) %d+$'))
        if first then
            count(q, 'duplicates', 1)
            return first
        end
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
