#!/usr/bin/env bash
# From a process on a laptop to three replicas on PostgreSQL, with OpenID Connect, behind a TCP balancer: the steps of
# docs/operating.md, run one after another on the loopback interface of this machine. Nothing stays behind.
#
#   deploy/replicas.sh
#
# Needs bash, Go, curl, openssl, haproxy, and the server programs of PostgreSQL. Runs as root or not.
#   ASSAY  the program to try; default: built from this tree
#   PORT   the first of ten ports to use; default 18440
set -euo pipefail
cd "$(dirname "$0")/.."

port=${PORT:-18440}
url=https://localhost:$port
ready_port=$((port + 9)) # of the service before there is a balancer: its listener for operators
issuer=https://localhost:$((port + 8))
names=(a b c)

dir=$(mktemp -d "${TMPDIR:-/tmp}/assay-trial-XXXXXX")
chmod 711 "$dir" # the user of PostgreSQL goes through it
umask 077
declare -A pids=()

step() { printf '\n=== %s (after %d s)\n' "$1" "$SECONDS"; }

fail() {
	printf 'replicas.sh: %s\n' "$1" >&2
	exit 1
}

# within SECONDS WHAT COMMAND… tries the command until it succeeds.
within() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || fail "$what: not in time"
		sleep 0.1
	done
}

# --- processes -------------------------------------------------------------------------------------------------------

# start NAME COMMAND… runs a program in the background with its output in a file.
start() {
	local name=$1
	shift
	"$@" >>"$dir/$name.out" 2>>"$dir/$name.log" &
	pids[$name]=$!
}

# stop NAME ends it and wants it to end well.
stop() {
	kill -TERM "${pids[$1]}"
	wait "${pids[$1]}" || fail "$1 ended with status $?: $(tail -n 3 "$dir/$1.log")"
	unset "pids[$1]"
}

cleanup() {
	local status=$? name
	for name in "${!pids[@]}"; do kill -KILL "${pids[$name]}" 2>/dev/null || true; done
	[[ ! -e $dir/pg/data/postmaster.pid ]] || pg_control stop -m immediate >/dev/null 2>&1 || true
	if ((status != 0)); then tail -n 5 "$dir"/*.log >&2 || true; fi
	rm -rf "$dir"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- PostgreSQL, which refuses to be root ----------------------------------------------------------------------------

pg_user=
if ((EUID == 0)); then
	pg_user=nobody
	! id postgres >/dev/null 2>&1 || pg_user=postgres
fi

as_pg() {
	if [[ -n $pg_user ]]; then (cd / && runuser -u "$pg_user" -- "$@"); else "$@"; fi
}

pg_program() {
	command -v "$1" 2>/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" | sort -V | tail -n 1
}

pg_control() { as_pg "$(pg_program pg_ctl)" -s -w -D "$dir/pg/data" -l "$dir/pg/log" -o "-c listen_addresses='' -k $dir/pg" "$@"; }

# --- calls of the service ----------------------------------------------------------------------------------------------

# call METHOD URL [CURL-OPTION…] prints the answer and fails unless it is a success.
call() {
	local method=$1 to=$2
	shift 2
	curl --silent --show-error --fail-with-body --max-time 20 --cacert "$dir/ca.pem" --request "$method" "$@" "$to"
}

as_operator() { call "$@" --header "Authorization: Bearer $(<"$dir/operator.token")"; }

at_service=(--endpoint "$url" --ca "$dir/ca.pem")

attest() { "$ASSAY" attest sgx "$dir/sim/quote.bin" "${at_service[@]}"; }

# ready PORT asks a listener for operators.
ready() { curl --silent --fail --max-time 5 "http://127.0.0.1:$1/readyz"; }

replica_port() { echo $((port + 1 + $1)); }
ops_port() { echo $((port + 4 + $1)); }

# --- the steps -------------------------------------------------------------------------------------------------------

build() {
	if [[ -z ${ASSAY:-} ]]; then
		ASSAY=$dir/assay
		go build -o "$ASSAY" ./cmd/assay
	fi
	go build -o "$dir/issuer" ./deploy/issuer
}

laptop() {
	start laptop "$ASSAY" serve --dev --listen "127.0.0.1:$port" --data "$dir/laptop"
	within 20 'the service in development mode' grep -q '^ready ' "$dir/laptop.out"
	"$ASSAY" sim sgx --out "$dir/sim" >/dev/null
	"$ASSAY" attest sgx "$dir/sim/quote.bin" --endpoint "$url" --ca "$dir/laptop/dev-ca.pem" >/dev/null
	local token
	token=$("$ASSAY" dev token --role owner --data "$dir/laptop")
	curl --silent --fail --cacert "$dir/laptop/dev-ca.pem" --header "Authorization: Bearer $token" \
		"$url/policies/SgxEnclave?api-version=2022-08-01" >/dev/null
	stop laptop
}

# certificates makes what a company's own authority would: a TLS certificate, and one for a client.
certificates() {
	local extension
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=trial CA' \
		-keyout "$dir/ca-key.pem" -out "$dir/ca.pem" 2>/dev/null
	for extension in tls:serverAuth:localhost client:clientAuth:reader.test; do
		IFS=: read -r name usage host <<<"$extension"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" -keyout "$dir/$name-key.pem" -out "$dir/$name.csr" 2>/dev/null
		openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -CAcreateserial -days 2 -out "$dir/$name.pem" \
			-extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=%s\n' "$host" "$usage") 2>/dev/null
	done
}

# common prints what the configurations of all steps have in common.
common() {
	cat <<-END
		url: $url
		tls_cert: $dir/tls.pem
		tls_key: $dir/tls-key.pem
		client_ca: $dir/ca.pem
		keys: {publish_lead: 2s}       # for this trial; leave it out for 24 hours
		auth:
		  issuers:
		    - url: $issuer
		      ca_file: $dir/ca.pem
		      rules: [{claim: appid, value: operator, role: owner, providers: ["*"]}]
		  client_certs:
		    rules: [{dns: reader.test, role: reader, providers: ["*"]}]
	END
}

single() {
	start issuer "$dir/issuer" --listen "127.0.0.1:$((port + 8))" --tls-cert "$dir/tls.pem" --tls-key "$dir/tls-key.pem"
	within 10 'the issuer' call GET "$issuer/keys"
	call GET "$issuer/token?appid=operator" >"$dir/operator.token"
	common >"$dir/one.yaml"
	cat >>"$dir/one.yaml" <<-END
		listen: 127.0.0.1:$port
		ops_listen: 127.0.0.1:$ready_port
		data: $dir/one
		audit: {file: $dir/one.audit.jsonl}
	END
	start one "$ASSAY" serve --config "$dir/one.yaml"
	within 20 'the service' ready "$ready_port"
	echo 'version= 1.0; authorizationrules{ => permit(); }; issuancerules{ => issue(type="site", value="trial"); };' >"$dir/site.policy"
	"$ASSAY" policy set "$dir/site.policy" --type sgx "${at_service[@]}" --token-file "$dir/operator.token" >/dev/null
	as_operator GET "$url/assay/v1/policies/SgxEnclave/versions" >"$dir/versions.before"
	call GET "$url/certs" >"$dir/certs.before"
	if "$ASSAY" policy set "$dir/site.policy" --type sgx "${at_service[@]}" >/dev/null 2>&1; then
		fail 'a policy was set without a token'
	fi
	if attest >/dev/null 2>&1; then fail 'evidence of a simulated enclave was accepted outside development mode'; fi
}

backup() {
	stop one # so that nothing is written after the last backup
	"$ASSAY" store check --data "$dir/one"
	"$ASSAY" store backup --data "$dir/one" --out "$dir/assay.backup"
	cp "$dir/one/seal.key" "$dir/seal.key"
}

postgres() {
	mkdir -m 700 "$dir/pg"
	[[ -z $pg_user ]] || chown "$pg_user" "$dir/pg"
	as_pg "$(pg_program initdb)" -D "$dir/pg/data" -U assay -E UTF8 --no-locale --auth=trust >/dev/null
	pg_control start
	chmod 711 "$dir/pg" 2>/dev/null || as_pg chmod 711 "$dir/pg"
	echo "postgres://assay@/postgres?host=$dir/pg" >"$dir/store"
}

restore() {
	"$ASSAY" store migrate --store-file "$dir/store"
	"$ASSAY" store restore "$dir/assay.backup" --store-file "$dir/store"
	"$ASSAY" store check --store-file "$dir/store"
}

# replica_config N writes the configuration of a replica: what all have in common, and what it has for itself.
replica_config() {
	local name=${names[$1]}
	mkdir -p "$dir/$name"
	cp "$dir/seal.key" "$dir/$name/seal.key" # on machines of their own each has a copy
	common >"$dir/$name.yaml"
	cat >>"$dir/$name.yaml" <<-END
		listen: 127.0.0.1:$(replica_port "$1")
		ops_listen: 127.0.0.1:$(ops_port "$1")
		data: $dir/$name
		store_file: $dir/store
		seal_key: $dir/$name/seal.key
		drain: 2s                      # longer than the balancer takes to see that /readyz fails
		audit: {file: $dir/$name.audit.jsonl}
		dev: true                      # for this trial: simulated enclaves can attest. Never in production
	END
}

start_replica() {
	start "${names[$1]}" "$ASSAY" serve --config "$dir/${names[$1]}.yaml"
	within 20 "replica ${names[$1]}" ready "$(ops_port "$1")"
}

replicas() {
	local n
	for n in 0 1 2; do
		replica_config "$n"
		start_replica "$n"
		call GET "https://localhost:$(replica_port "$n")/certs" | cmp - "$dir/certs.before" || fail 'the signing keys have changed'
	done
}

balancer() {
	local config n
	config=$(<deploy/haproxy.cfg)
	config=${config//'{LISTEN}'/127.0.0.1:$port}
	for n in 0 1 2; do
		config=${config//"{${names[$n]^^}}"/127.0.0.1:$(replica_port "$n")}
		config=${config//"{${names[$n]^^}_OPS}"/$(ops_port "$n")}
	done
	printf '%s\n' "$config" >"$dir/haproxy.cfg"
	haproxy -c -f "$dir/haproxy.cfg" >/dev/null
	start haproxy haproxy -db -f "$dir/haproxy.cfg"
	within 10 'the service behind the balancer' attest
	as_operator GET "$url/assay/v1/policies/SgxEnclave/versions" | cmp - "$dir/versions.before" || fail 'the versions of the policy have changed'
	# A client certificate goes through to the replica.
	call GET "$url/policies/SgxEnclave?api-version=2022-08-01" --cert "$dir/client.pem" --key "$dir/client-key.pem" >/dev/null
	if call GET "$url/policies/SgxEnclave?api-version=2022-08-01" >/dev/null 2>&1; then fail 'a policy was shown to a stranger'; fi
}

# load NAME attests without pause until there is a file "enough", and counts what fails.
load() {
	local good=0 bad=0
	until [[ -e $dir/enough ]]; do
		if call POST "$url/attest/SgxEnclave?api-version=2022-08-01" --header 'Content-Type: application/json' \
			--data-binary "@$dir/sim/request.json" >/dev/null; then ((++good)); else ((++bad)); fi
	done
	echo "$good $bad" >"$dir/$1.result"
}

rolling_restart() {
	local n name good bad answered=0 failed=0
	for name in load1 load2 load3; do start "$name" load "$name"; done
	for n in 0 1 2; do
		stop "${names[$n]}"
		start_replica "$n"
		sleep 1 # the balancer sees it
	done
	touch "$dir/enough"
	for name in load1 load2 load3; do
		wait "${pids[$name]}"
		unset "pids[$name]"
		read -r good bad <"$dir/$name.result"
		((answered += good, failed += bad)) || true
	done
	echo "$answered requests answered, $failed failed"
	((failed == 0 && answered > 10)) || fail 'requests failed during the restart'
}

# all_list KID asks each replica for its key set.
all_list() {
	local n
	for n in 0 1 2; do call GET "https://localhost:$(replica_port "$n")/certs" | grep -qF "$1" || return 1; done
}

rotate() {
	local before after
	before=$(signing_key)
	"$ASSAY" key rotate "${at_service[@]}" --token-file "$dir/operator.token" >/dev/null
	within 10 'the new signing key' signs_with_another_than "$before"
	after=$(signing_key)
	all_list "$before" || fail 'the key before is not listed any more'
	all_list "$after" || fail 'a replica does not list the new key'
	attest >/dev/null
	echo "from $before to $after"
}

signing_key() { as_operator GET "$url/assay/v1/keys" | sed -n 's/.*"current":"\([^"]*\)".*/\1/p'; }

signs_with_another_than() { [[ $(signing_key) != "$1" ]]; }

audit() {
	"$ASSAY" audit verify --store-file "$dir/store" --seal-key "$dir/seal.key"
	within 10 'the copy of the trail' "$ASSAY" audit verify "$dir/a.audit.jsonl" --seal-key "$dir/seal.key" --head "$(audit_head)"
	"$ASSAY" store check --store-file "$dir/store"
}

# audit_head is how far the trail in the store goes: its copies must come to it.
audit_head() {
	"$ASSAY" audit verify --store-file "$dir/store" --seal-key "$dir/seal.key" --json | sed -n 's/.*"head":"\([^"]*\)".*/\1/p'
}

# outage takes the database away: no replica is ready, and all of them still attest.
outage() {
	pg_control stop -m immediate
	within 10 'a replica that knows that its store is gone' not_ready 0
	sleep 1 # the balancer sees it
	attest >/dev/null
	pg_control start
	for n in 0 1 2; do within 10 "replica ${names[$n]} with its store" ready "$(ops_port "$n")"; done
	as_operator GET "$url/policies/SgxEnclave?api-version=2022-08-01" >/dev/null
}

not_ready() { ! ready "$(ops_port "$1")"; }

step 'build'; build
step 'a process on a laptop'; laptop
step 'certificates'; certificates
step 'a service with SQLite, TLS and OpenID Connect'; single
step 'backup'; backup
step 'PostgreSQL'; postgres
step 'restore into PostgreSQL'; restore
step 'three replicas'; replicas
step 'balancer'; balancer
step 'rolling restart'; rolling_restart
step 'a new signing key'; rotate
step 'the database goes and comes back'; outage
step 'audit trail'; audit
step 'end'; for name in "${names[@]}"; do stop "$name"; done
printf '\nAll steps done in %d s.\n' "$SECONDS"
