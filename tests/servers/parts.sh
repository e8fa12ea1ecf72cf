# What the scripts that run real servers for tests have in common; they read this file.

# A package of the system's, installed when the command is missing.
need() {
  local command=$1 package=$2 root=()
  command -v "$command" >/dev/null && return
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$package" >&2
}

# So many free ports below those that the system hands out: it must not give one of them to somebody
# else's connection before the server has it, or while the server is away.
free_ports() {
  python3 -c '
import random, socket, sys
lowest = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
ports = range(min(10000, lowest // 2), lowest)
found = []
for port in random.sample(ports, len(ports)):
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            continue
    found.append(port)
    if len(found) == int(sys.argv[1]):
        break
print(*found)
' "$1"
}

# A certificate authority of its own in a directory, `ca.pem`, and a certificate of it for a server
# on this machine: `certify DIR NAME` makes NAME.key and NAME.crt, server.* without a name.
certify() {
  local dir=$1 name=${2:-server} key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  {
    openssl req -x509 "${key[@]}" -days 3650 -subj /CN=trellis-tests \
      -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req "${key[@]}" -subj /CN=localhost -keyout "$dir/$name.key" -out "$dir/$name.csr"
    echo "subjectAltName=IP:127.0.0.1,DNS:localhost" >"$dir/$name.ext"
    openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" \
      -CAcreateserial -days 3650 -extfile "$dir/$name.ext" -out "$dir/$name.crt"
  } 2>"$dir/openssl.log"
}
