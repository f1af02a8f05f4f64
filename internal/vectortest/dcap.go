package vectortest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// DCAPCase is one quote with the collateral to judge it by and the outcome, as vectors/dcap describes them; the edits
// of a mutation are already made.
type DCAPCase struct {
	Name   string
	Type   string // sgx, openenclave or tdx
	Policy string // strict, pinned, ignore-collateral-dates or no-crl
	Now    time.Time
	Quote  []byte
	Files  map[string][]byte // tcb_info.json and its siblings; absent means not in the folder
	Root   []byte            // trusted root instead of Intel's, or nil

	Accept         bool
	Exits          []int
	Reasons        []string
	Status         string
	PlatformStatus string
	QEStatus       string
	ModuleStatus   string // of the TDX module, empty where no identity is used
	TCBDate        time.Time
	AdvisoryIDs    []string
	Evaluations    []uint32 // of TCB info and QE identity, where known
}

// oneOrMany is a value or a list of them.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(b, &(*l)[0])
}

type dcapCase struct {
	ID, Type, Quote, Collateral, Policy, Verdict string
	QuoteFile                                    string            `json:"quote_file"`
	CollateralDir                                oneOrMany[string] `json:"collateral_dir"`
	Root                                         string
	Now                                          time.Time
	Exit                                         oneOrMany[int]
	Reason                                       oneOrMany[string]
	TCBStatus                                    string    `json:"tcb_status"`
	PlatformStatus                               string    `json:"platform_status"`
	QEStatus                                     string    `json:"qe_status"`
	ModuleStatus                                 string    `json:"tdx_module_status"`
	TCBDate                                      time.Time `json:"tcb_date"`
	AdvisoryIDs                                  []string  `json:"advisory_ids"`
	TCBEval                                      uint32    `json:"tcb_eval"`
	QEEval                                       uint32    `json:"qe_eval"`
	Ops                                          []dcapOp
}

type dcapOp struct {
	Target, Op, Old, New, Collateral string
	Offset, Mask, Length             int
	Value                            json.RawMessage
}

// CollateralFiles are the files of a collateral folder by the target names of mutations.
func collateralFile(target string) string {
	return map[string]string{
		"tcb_info": "tcb_info.json", "qe_identity": "qe_identity.json",
		"tcb_info_chain": "tcb_info_issuer_chain.pem", "qe_identity_chain": "qe_identity_issuer_chain.pem",
		"pck_crl": "pck_crl.der", "root_ca_crl": "root_ca_crl.der",
	}[target]
}

// DCAPCases reads every case of the given kinds ("sgx", "openenclave", "tdx") from the three indexes of vectors/dcap.
func DCAPCases(t testing.TB, kinds ...string) []DCAPCase {
	t.Helper()
	var cases []DCAPCase
	for _, index := range []string{"dcap/index.json", "dcap/synthetic/index.json", "dcap/mutations.json"} {
		var list struct{ Cases, Mutations []dcapCase }
		ReadJSON(t, index, &list)
		for _, c := range append(list.Cases, list.Mutations...) {
			if slices.Contains(kinds, c.Type) {
				cases = append(cases, c.load(t))
			}
		}
	}
	if len(cases) == 0 {
		NoCase(t, "case in the indexes of dcap")
	}
	return cases
}

func (c dcapCase) load(t testing.TB) DCAPCase {
	t.Helper()
	name := c.ID
	if name == "" {
		name = c.Quote + "/" + c.Collateral + "/" + c.Policy
	}
	out := DCAPCase{
		Name: name, Type: c.Type, Policy: c.Policy, Now: c.Now, Quote: Read(t, c.QuoteFile), Files: map[string][]byte{},
		Accept: c.Verdict == "accept", Exits: c.Exit, Reasons: c.Reason, Status: c.TCBStatus,
		PlatformStatus: c.PlatformStatus, QEStatus: c.QEStatus, ModuleStatus: c.ModuleStatus, TCBDate: c.TCBDate, AdvisoryIDs: c.AdvisoryIDs,
	}
	if c.TCBEval != 0 {
		out.Evaluations = []uint32{c.TCBEval, c.QEEval}
	}
	if c.Root != "" {
		out.Root = Read(t, c.Root)
	}
	for _, dir := range c.CollateralDir {
		out.layOver(t, dir)
	}
	for _, op := range c.Ops {
		op.apply(t, &out)
	}
	return out
}

// layOver adds the files of a collateral folder.
func (c *DCAPCase) layOver(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(Path(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		c.Files[e.Name()] = Read(t, dir+"/"+e.Name())
	}
}

// WriteFiles writes the quote and the collateral folder of the case, and its root if it has one, into dir and returns
// their paths.
func (c *DCAPCase) WriteFiles(t testing.TB, dir string) (quote, collateral, root string) {
	t.Helper()
	quote, collateral, root = filepath.Join(dir, "quote.bin"), filepath.Join(dir, "collateral"), filepath.Join(dir, "root.pem")
	write := func(name string, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(collateral, 0o700); err != nil {
		t.Fatal(err)
	}
	write(quote, c.Quote)
	for name, b := range c.Files {
		write(filepath.Join(collateral, name), b)
	}
	if c.Root == nil {
		return quote, collateral, ""
	}
	write(root, c.Root)
	return quote, collateral, root
}

// apply makes one edit of a mutation.
func (op dcapOp) apply(t testing.TB, c *DCAPCase) {
	t.Helper()
	if op.Target == "now" {
		if err := json.Unmarshal(op.Value, &c.Now); err != nil {
			t.Fatal(err)
		}
		return
	}
	var n uint32
	switch op.Op {
	case "u16le", "u32le":
		if err := json.Unmarshal(op.Value, &n); err != nil {
			t.Fatal(err)
		}
		c.Quote = bytes.Clone(c.Quote)
	}
	file := collateralFile(op.Target)
	switch op.Op {
	case "xor":
		c.Quote = bytes.Clone(c.Quote)
		c.Quote[op.Offset] ^= byte(op.Mask)
	case "u16le":
		binary.LittleEndian.PutUint16(c.Quote[op.Offset:], uint16(n))
	case "u32le":
		binary.LittleEndian.PutUint32(c.Quote[op.Offset:], n)
	case "truncate":
		c.Quote = c.Quote[:op.Length]
	case "replace-once":
		c.Files[file] = bytes.Replace(c.Files[file], []byte(op.Old), []byte(op.New), 1)
	case "remove":
		delete(c.Files, file)
		delete(c.Files, strings.Replace(file, ".der", ".pem", 1))
	case "take-from":
		c.takeFrom(t, op)
	default:
		t.Fatalf("unknown edit %q", op.Op)
	}
}

// takeFrom replaces a file by that of another set, TCB info and QE identity together with their issuer chains.
func (c *DCAPCase) takeFrom(t testing.TB, op dcapOp) {
	t.Helper()
	for _, target := range []string{op.Target, op.Target + "_chain"} {
		if file := collateralFile(target); file != "" {
			c.Files[file] = Read(t, "dcap/collateral/"+op.Collateral+"/"+file)
		}
	}
}
