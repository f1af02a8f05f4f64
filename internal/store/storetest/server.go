package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// server is a PostgreSQL server that a shell watches over.
type server struct {
	shell *exec.Cmd
	stdin io.Closer
}

// watch makes a cluster in the folder $2 with the programs in $1 and starts it. Its texts are ordered as dictionaries do,
// where the server knows how (15 and later), since that of operators may be. It stops the server and removes the folder
// when standard input ends, which it does with the process that holds the other end, however that ends.
const watch = `
trap '' INT TERM HUP
bin=$1 dir=$2
init() { "$bin/initdb" -D "$dir/data" -U assay -E UTF8 --locale=C --auth=trust "$@" >"$dir/log" 2>&1; }
{ init --locale-provider=icu --icu-locale=en-US || init; } &&
"$bin/pg_ctl" start -s -w -D "$dir/data" -l "$dir/log" -o "-c listen_addresses='' -k $dir" >>"$dir/log" 2>&1 &&
echo ready || { cat "$dir/log"; echo failed; }
read -r _
"$bin/pg_ctl" stop -s -m immediate -D "$dir/data" >/dev/null 2>&1
rm -rf "$dir"
`

// start starts a server and names it in the environment. Without PostgreSQL on this machine it does nothing.
func start() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return &server{}, nil //nolint:nilerr // the tests that need it say so
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	s := &server{shell: command("sh", "-c", watch, "sh", bin, dir)}
	if s.stdin, err = s.shell.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.shell.Start(); err != nil {
		return nil, err
	}
	if err := ready(out); err != nil {
		s.stop()
		return nil, err
	}
	u := url.URL{Scheme: "postgres", User: url.User("assay"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return s, errors.Join(os.Setenv(serverVar, u.String()), os.Setenv(dataVar, filepath.Join(dir, "data")))
}

// ready waits until the server answers.
func ready(out io.Reader) error {
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); line {
		case "ready":
			return nil
		case "failed":
			return errors.New(log.String())
		default:
			log.WriteString(line + "\n")
		}
	}
	return errors.New("the shell ended early: " + log.String())
}

// stop ends the server and waits for it.
func (s *server) stop() {
	if s.shell == nil {
		return
	}
	s.stdin.Close()
	s.shell.Wait() //nolint:errcheck // its status is that of rm
	os.Unsetenv(serverVar)
	os.Unsetenv(dataVar)
}

// binaries finds the folder of initdb and pg_ctl: in the path, or where distributions put it.
func binaries() (string, error) {
	if name, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(name), nil
	}
	found := ""
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		names, err := filepath.Glob(pattern)
		if err == nil && len(names) > 0 {
			found = filepath.Dir(names[len(names)-1])
		}
	}
	if found == "" {
		return "", errors.New("there is no initdb")
	}
	return found, nil
}

// serverUser is who runs the server where the tests run as root.
func serverUser() string {
	if _, err := user.Lookup("postgres"); err == nil {
		return "postgres"
	}
	return "nobody"
}

// folder makes a folder for the user that the server runs as. Its name is short, since sockets have short names.
func folder() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "assay-pg-")
	if err != nil || os.Getuid() != 0 {
		return dir, err
	}
	owner, err := user.Lookup(serverUser())
	if err != nil {
		return "", err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return "", fmt.Errorf("the user %s has no number: %w", owner.Username, err)
	}
	return dir, os.Chown(dir, uid, -1)
}
