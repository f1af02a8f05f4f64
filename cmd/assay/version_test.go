package main

import (
	"encoding/json"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// One version is told by the command line and by the service.
func TestVersionIsThatOfTheService(t *testing.T) {
	var got struct{ Version, Go string }
	if assay(t, "version", "--json").read(t, &got); got.Version == "" || got.Go != runtime.Version() {
		t.Errorf("got %+v, want both members", got)
	}
	o := assay(t, "version")
	if o.want(t, exitOK, "assay "+got.Version+" (", ""); !strings.HasSuffix(o.stdout, got.Go+")\n") {
		t.Errorf("got %q, want it to end in the Go version", o.stdout)
	}
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--insecure-http")
	res, err := http.Get(s.URL + "/certs")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if header := res.Header.Get("x-ms-maa-service-version"); header != got.Version {
		t.Errorf("the service says %q, the command line %q", header, got.Version)
	}
}

func TestRevisionIsThatOfTheBuild(t *testing.T) {
	for _, test := range []struct{ settings, want string }{
		{`[]`, ""},
		{`[{"Key":"vcs.modified","Value":"true"}]`, ""},
		{`[{"Key":"vcs","Value":"git"},{"Key":"vcs.revision","Value":"c0ffee"},{"Key":"vcs.modified","Value":"false"}]`, "c0ffee"},
		{`[{"Key":"vcs.revision","Value":"c0ffee"},{"Key":"vcs.modified","Value":"true"}]`, "c0ffee+dirty"},
	} {
		var settings []debug.BuildSetting
		if err := json.Unmarshal([]byte(test.settings), &settings); err != nil {
			t.Fatal(err)
		}
		if got := revision(settings); got != test.want {
			t.Errorf("%s: got %q, want %q", test.settings, got, test.want)
		}
	}
}
