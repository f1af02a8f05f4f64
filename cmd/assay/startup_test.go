package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestServeThatCannotStartIsAWrongCall has what is wrong before the service is ready: exit status 2, whichever part of
// the service finds out.
func TestServeThatCannotStartIsAWrongCall(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := tempFile(t, "bad", "x")
	config := func(more string) []string {
		return []string{"--config", tempFile(t, "assay.yaml", "dev: true\nlisten: 127.0.0.1:0\n"+more)}
	}
	for _, test := range []struct {
		name   string
		args   []string
		stderr string
	}{
		{"address in use", []string{"--dev", "--listen", taken.Addr().String()}, "address already in use"},
		{"certificate that is none", config(fmt.Sprintf("tls_cert: %s\ntls_key: %[1]s\n", bad)), "TLS certificate"},
		{"setting out of range", config("settings: {collateral_expiry: never}\n"), "enforce or pinned"},
		{"policy of an unknown type", config("policies: {toaster: x}\n"), "toaster"},
		{"policy that does not parse", config("policies: {SgxEnclave: " + bad + "}\n"), "Line"},
		{"URL with a path", config("url: https://attest.example/x\n"), "without path"},
		{"bundle without collateral", config("collateral: [" + t.TempDir() + "]\n"), "tcb_info.json"},
		{"data folder that is a file", append(config(""), "--data", bad), "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"--data", t.TempDir()}, test.args...)
			o := refuse(t, args...)
			o.want(t, exitUsage, "", test.stderr)
			if strings.Contains(o.stderr, "--help") {
				t.Errorf("help would not help: %s", o.stderr)
			}
			refuse(t, append(args, "--json")...).want(t, exitUsage, `{"error":{`, "")
		})
	}
}

func TestMistakeInTheConfigurationIsShownInItsPlace(t *testing.T) {
	file := tempFile(t, "assay.yaml", "dev: true\nlisten: 127.0.0.1:0\nlisen: x\n")
	o := refuse(t, "--config", file)
	o.want(t, exitUsage, "", `unknown field "lisen"`+"\n")
	if strings.Contains(o.stderr, `\n`) || !strings.Contains(o.stderr, "3 | lisen: x\n") {
		t.Errorf("want the line of the file on a line of its own:\n%s", o.stderr)
	}
}
