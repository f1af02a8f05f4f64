package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// shown returns what docs/policy-editors.md shows in a language.
func shown(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, f := range fences(t, "../../docs/policy-editors.md") {
		if f.kind == language {
			found = append(found, f.text)
		}
	}
	if len(found) == 0 {
		t.Fatalf("the document shows no %s", language)
	}
	return found
}

// buildAssay puts the program where the search for commands finds it first.
func buildAssay(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "assay"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// drive has Neovim open a broken policy, complete, mend, explain and format it, and writes what it saw. Places count
// from 0.
const drive = `
local seen = {}
local clients = vim.lsp.get_clients or vim.lsp.get_active_clients
local function request(method, line, column)
  vim.api.nvim_win_set_cursor(0, { line + 1, column })
  local answers = vim.lsp.buf_request_sync(0, method, vim.lsp.util.make_position_params(0, "utf-16"), 10000)
  for _, answer in pairs(answers or {}) do
    return answer.result
  end
end
local function diagnostics(wanted)
  vim.wait(10000, function() return #vim.diagnostic.get(0) == wanted end, 10)
  local found = {}
  for _, d in ipairs(vim.diagnostic.get(0)) do
    table.insert(found, { line = d.lnum, column = d.col, severity = d.severity, message = d.message })
  end
  return found
end
vim.cmd("edit " .. vim.env.POLICY)
seen.broken = diagnostics(1)
seen.labels = {}
for _, item in ipairs(request("textDocument/completion", 3, 19).items) do
  table.insert(seen.labels, item.label)
  if item.label == "x-ms-sgx-is-debuggable" then
    vim.lsp.util.apply_text_edits({ item.textEdit }, vim.api.nvim_get_current_buf(), "utf-16")
  end
end
seen.completed = vim.api.nvim_buf_get_lines(0, 3, 4, true)[1]
vim.api.nvim_buf_set_lines(0, 4, 5, true, { "[type==\"x-ms-sgx-svn\",value>=2]=>permit();" })
seen.mended = diagnostics(0)
seen.hover = request("textDocument/hover", 4, 12).contents.value
if vim.lsp.buf.format then vim.lsp.buf.format() else vim.lsp.buf.formatting_sync() end
seen.formatted = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), "\n") .. "\n"
seen.clients = #clients()
vim.lsp.stop_client(clients())
seen.stopped = vim.wait(10000, function() return #clients() == 0 end, 10)
vim.fn.writefile({ vim.json.encode(seen) }, vim.env.SEEN)
vim.cmd("qall!")
`

// TestNeovimServesPolicies runs the documented set-up in the real editor.
func TestNeovimServesPolicies(t *testing.T) {
	if _, err := exec.LookPath("nvim"); err != nil {
		vectortest.Missing(t, "the editor nvim (Debian package neovim)")
	}
	buildAssay(t)
	const text = "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-\", value==true] => deny();\n    [type=\"x-ms-sgx-svn\", value>=2] => permit();\n};\n"
	policy := tempFile(t, "sgx.policy", text)
	seen := runNeovim(t, policy)
	if len(seen.Broken) != 1 || seen.Broken[0] != (editorMark{4, 9, 1, "mismatched input '=' expecting {'==', '!=', '<', '<=', '>', '>='}: a condition compares with '=='"}) {
		t.Errorf("diagnostics of the broken policy: %+v", seen.Broken)
	}
	labels := " " + strings.Join(seen.Labels, " ") + " "
	for _, want := range []string{" x-ms-sgx-is-debuggable ", " x-ms-sgx-mrsigner ", " x-ms-attestation-type "} {
		if !strings.Contains(labels, want) {
			t.Errorf("completion offers %s, want %s among them", labels, want)
		}
	}
	if want := `    [type=="x-ms-sgx-is-debuggable", value==true] => deny();`; seen.Completed != want {
		t.Errorf("the completed line is %s, want %s", seen.Completed, want)
	}
	if len(seen.Mended) != 0 {
		t.Errorf("diagnostics of the mended policy: %+v, want none", seen.Mended)
	}
	if !strings.Contains(seen.Hover, "x-ms-sgx-svn") || !strings.Contains(seen.Hover, "Integer claim of issuer AttestationService") {
		t.Errorf("hover says %q", seen.Hover)
	}
	const want = "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-is-debuggable\", value==true] => deny();\n    [type==\"x-ms-sgx-svn\", value>=2] => permit();\n};\n"
	if seen.Formatted != want {
		t.Errorf("formatted: got\n%s\nwant\n%s", seen.Formatted, want)
	}
	if seen.Clients != 1 || !seen.Stopped {
		t.Errorf("%d servers ran, ended: %v; want one that ends when it is told to", seen.Clients, seen.Stopped)
	}
}

// editorSeen is what the editor saw.
type editorSeen struct {
	Broken, Mended              []editorMark
	Labels                      []string
	Completed, Hover, Formatted string
	Clients                     int
	Stopped                     bool
}

type editorMark struct {
	Line, Column, Severity int
	Message                string
}

func runNeovim(t *testing.T, policy string) (seen editorSeen) {
	t.Helper()
	setup := tempFile(t, "init.lua", strings.Join(shown(t, "lua"), "\n"))
	script, result := tempFile(t, "drive.lua", drive), filepath.Join(t.TempDir(), "seen.json")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nvim", "--headless", "-n", "-i", "NONE", "-u", setup, "-c", "luafile "+script, "-c", "cquit")
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "POLICY="+policy, "SEEN="+result, "HOME="+home, "XDG_STATE_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nvim: %v\n%s", err, out)
	}
	b, err := os.ReadFile(result)
	if err != nil {
		t.Fatalf("nvim wrote no result: %v\n%s", err, out)
	}
	if err := json.Unmarshal(b, &seen); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return seen
}

// TestVSCodeExtensionStartsTheServer loads the documented extension with a client that only tells how it was called.
func TestVSCodeExtensionStartsTheServer(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		vectortest.Missing(t, "node (Debian package nodejs)")
	}
	const told = `exports.LanguageClient = class {
  constructor(...args) { console.log(JSON.stringify(args)); }
  start() { console.log("started"); }
  stop() { console.log("stopped"); }
};
`
	dir := t.TempDir()
	client := filepath.Join(dir, "node_modules", "vscode-languageclient")
	if err := os.MkdirAll(client, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(dir, "package.json"): shown(t, "json")[0],
		filepath.Join(dir, "extension.js"): shown(t, "js")[0],
		filepath.Join(client, "node.js"):   told,
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", "-e", `const e = require("./"); e.activate(); e.deactivate()`)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	const want = `["assay-policy",{"command":"assay","args":["policy","lsp"]},{"documentSelector":[{"language":"assay-policy"}]}]` + "\nstarted\nstopped\n"
	if err != nil || string(out) != want {
		t.Errorf("%v: got %s, want %s", err, out, want)
	}
}
