-- What every script ends with: the calls, one after the other, and then what they say about their queues together.
-- Reply: store time, and for each call an array that begins with how soon there may be something to receive, or an
-- error, which is that call's alone.
local function attempt(first, last)
    soon = -1
    local done, reply = pcall(run, ARGV, first, last)
    if done then return reply end
    return {err = type(reply) == 'table' and reply.err or tostring(reply)}
end

local replies, at = {now}, 4
for i = 1, tonumber(ARGV[3]) do
    local last = at + tonumber(ARGV[at])
    replies[i + 1] = attempt(at + 1, last)
    at = last + 1
end
tell()
return replies
