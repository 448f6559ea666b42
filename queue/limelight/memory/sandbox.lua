-- What Redis gives to its scripts, and nothing else. Run once per store; returns two functions:
--   compile(source)          the script as a function, or nil and why not
--   run(chunk, keys, argv)   its answer; an error is a table with `err`
local call, pack, unpack_one, unpack_all, encode, decode, struct_pack, struct_unpack, null, sha1hex = ...

local function checked(reply)
  if type(reply) == 'table' and reply.err then error(reply, 0) end
  return reply
end

redis = {
  call = function(...) return checked(call(...)) end,
  pcall = call,
  error_reply = function(text) return {err = text} end,
  status_reply = function(text) return {ok = text} end,
  sha1hex = sha1hex,
  log = function() end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
}
cmsgpack = {pack = pack, unpack_one = unpack_one, unpack = unpack_all}
struct = {pack = struct_pack, unpack = struct_unpack}
cjson = {encode = encode, decode = decode, null = null}
os = {clock = os.clock}
KEYS, ARGV = {}, {}

-- `debug` stays: lupa looks for it whenever it calls a function.
local GLOBALS, rawset, pcall, tostring, loadstring = _G, rawset, pcall, tostring, loadstring
for _, name in ipairs({'io', 'require', 'module', 'package', 'python', 'dofile', 'loadfile', 'print', 'newproxy'}) do
  GLOBALS[name] = nil
end
setmetatable(GLOBALS, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function(_, name)
    error("Attempt to modify a readonly table: script tried to set global '" .. tostring(name) .. "'", 2)
  end,
})

local function compile(source) return loadstring(source, '@user_script') end

local function run(chunk, keys, argv)
  rawset(GLOBALS, 'KEYS', keys)
  rawset(GLOBALS, 'ARGV', argv)
  local done, reply = pcall(chunk)
  if done or type(reply) == 'table' then return reply end
  return {err = 'ERR ' .. tostring(reply)}
end

return compile, run
