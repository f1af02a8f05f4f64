package dcap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// seeds reads the files of the vectors that match pattern, which is relative to folder.
func seeds(f *testing.F, folder, pattern string) [][]byte {
	f.Helper()
	names, err := filepath.Glob(filepath.Join(vectortest.Path(f, folder), filepath.FromSlash(pattern)))
	if err != nil {
		f.Fatal(err)
	}
	if len(names) == 0 && os.Getenv("ASSAY_VECTORS") == "" {
		vectortest.Missing(f, folder+"/"+pattern)
	}
	var all [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// quoteSeeds are real and synthetic quotes, without the header of an Open Enclave report.
func quoteSeeds(f *testing.F) [][]byte {
	f.Helper()
	all := append(seeds(f, "dcap/quotes", "*.bin"), seeds(f, "dcap/synthetic", "*/quote.bin")...)
	for i, b := range all {
		all[i] = bytes.TrimPrefix(b, []byte("\x01\x00\x00\x00\x02\x00\x00\x00"))
		if len(all[i]) < len(b) {
			all[i] = all[i][8:]
		}
	}
	return all
}

// chains are the PCK chains in the quotes.
func chains(f *testing.F) [][]byte {
	f.Helper()
	var all [][]byte
	for _, b := range quoteSeeds(f) {
		if q, err := ParseQuote(b); err == nil {
			all = append(all, q.pckChain)
		}
	}
	return all
}

// bounded runs parse and fails if it allocates out of proportion to its input of n bytes. The allowance is for what
// the fuzzing engine allocates meanwhile.
func bounded(t *testing.T, n int, parse func()) {
	t.Helper()
	total := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(total)
	before := total[0].Value.Uint64()
	parse()
	metrics.Read(total)
	if got, most := total[0].Value.Uint64()-before, uint64(1<<20+200*n); got > most {
		t.Errorf("%d bytes allocated for an input of %d, at most %d expected", got, n, most)
	}
}

// refusedFor fails unless err is a refusal for one of checks.
func refusedFor(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || !slices.Contains(checks, r.Check) {
		t.Errorf("got %v, want a refusal for one of %v", err, checks)
	}
}

// known is a set of the documents that their signers have signed. Nobody else can make another.
type known map[[sha256.Size]byte]bool

func (k known) add(b []byte)      { k[sha256.Sum256(b)] = true }
func (k known) has(b []byte) bool { return k[sha256.Sum256(b)] }

func FuzzParseQuote(f *testing.F) {
	for _, b := range quoteSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q *Quote
		var err error
		bounded(t, len(b), func() { q, err = ParseQuote(b) })
		again, err2 := ParseQuote(bytes.Clone(b))
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(q, again) {
			t.Fatalf("parsed twice, two results: %+v (%v), %+v (%v)", q, err, again, err2)
		}
		if err != nil {
			refusedFor(t, err, evidence.QuoteFormat, evidence.CertDataType)
			return
		}
		if len(q.Body) != q.BodyType.size() || !bytes.Equal(q.signed, b[:len(q.signed)]) || !bytes.HasSuffix(q.signed, q.Body) {
			t.Errorf("body of %d bytes, type %d; %d bytes are signed", len(q.Body), q.BodyType, len(q.signed))
		}
		whole := b[:len(b)-q.Trailing]
		if trimmed, err := ParseQuote(whole); err != nil || trimmed.Trailing != 0 {
			t.Errorf("without its %d trailing bytes: %v", q.Trailing, err)
		}
		if _, err := ParseQuote(whole[:len(whole)-1]); err == nil {
			t.Error("accepted without its last byte")
		}
	})
}

func FuzzPEMChain(f *testing.F) {
	leaves := known{}
	v := NewVerifier(IntelRoots())
	for _, b := range chains(f) {
		if c, err := v.checkChain(b); err == nil {
			leaves.add(c.leaf.Raw)
		}
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v := NewVerifier(IntelRoots())
		var c *chain
		var refusal *evidence.Refusal
		bounded(t, len(b), func() { c, refusal = v.chain(b) })
		if refusal != nil {
			refusedFor(t, refusal, evidence.UntrustedRoot, evidence.PCKChain, evidence.PCKFormat)
			return
		}
		if !leaves.has(c.leaf.Raw) {
			t.Errorf("a PCK certificate that is not Intel's is accepted: %x", c.leaf.Raw)
		}
		again, refusal := v.chain(b)
		if refusal != nil || (again == c) != c.usual(b) {
			t.Errorf("the chain is remembered: %t; %v", again == c, refusal)
		}
		if ders, err := splitPEM(b, 3); err != nil || !bytes.Equal(ders[0], c.leaf.Raw) || !bytes.Equal(ders[1], c.ca.cert.Raw) {
			t.Errorf("the chain is taken apart in two ways: %v", err)
		}
	})
}

func FuzzSGXExtension(f *testing.F) {
	for _, b := range chains(f) {
		block, _ := pem.Decode(b)
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range leaf.Extensions {
			if x.Id.String() == sgxExtension {
				f.Add(x.Value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readPCKExtension(b)
		if again, err2 := readPCKExtension(bytes.Clone(b)); e != again || (err == nil) != (err2 == nil) {
			t.Fatalf("read twice, two results: %+v (%v), %+v (%v)", e, err, again, err2)
		}
		if err != nil {
			return
		}
		if want, err := byReflection(b); err != nil || e != want {
			t.Errorf("%x: got %+v, encoding/asn1 gives %+v (%v)", b, e, want, err)
		}
	})
}

// byReflection reads an SGX extension with encoding/asn1, another implementation of DER.
func byReflection(der []byte) (e PCKExtension, err error) {
	values := map[string]asn1.RawValue{}
	var list, tcb []struct{ ID, Value asn1.RawValue }
	_, err = asn1.Unmarshal(der, &list)
	for _, x := range list {
		values[string(x.ID.FullBytes)] = x.Value
	}
	oid := func(below ...byte) asn1.RawValue {
		id := append([]byte(sgxArc), below...)
		return values[string(append([]byte{0x06, byte(len(id))}, id...))]
	}
	read := func(from asn1.RawValue, v any) {
		_, err2 := asn1.Unmarshal(from.FullBytes, v)
		err = errors.Join(err, err2)
	}
	read(oid(2), &tcb)
	for _, x := range tcb {
		values[string(x.ID.FullBytes)] = x.Value
	}
	octets := func(dst []byte, below ...byte) {
		var b []byte
		read(oid(below...), &b)
		copy(dst, b)
	}
	octets(e.PPID[:], 1)
	octets(e.PCEID[:], 3)
	octets(e.FMSPC[:], 4)
	octets(e.TCB.CPUSVN[:], 2, 18)
	var n int
	for i := range e.TCB.Components {
		read(oid(2, byte(i+1)), &n)
		e.TCB.Components[i] = uint8(n)
	}
	read(oid(2, 17), &n)
	e.TCB.PCESVN = uint16(n)
	var kind asn1.Enumerated
	read(oid(5), &kind)
	e.SGXType = int(kind)
	return e, err
}

// documentSeeds adds the real and synthetic documents of one name and returns what is signed in the real ones.
func documentSeeds(f *testing.F, name string, inner func(envelope) []byte) known {
	f.Helper()
	signed := known{}
	for _, b := range append(seeds(f, "dcap/collateral", "*/"+name), seeds(f, "dcap/synthetic", "*/"+name)...) {
		e, err := readEnvelope(b)
		if err != nil {
			f.Fatal(err)
		}
		signed.add(inner(e))
		f.Add(b)
	}
	return signed
}

// issuerChain is a real chain of the TCB signer.
func issuerChain(f *testing.F) []byte {
	f.Helper()
	all := seeds(f, "dcap/collateral", "*/tcb_info_issuer_chain.pem")
	if len(all) == 0 {
		vectortest.NoCase(f, "collateral")
	}
	return all[0]
}

func FuzzTCBInfo(f *testing.F) {
	signed := documentSeeds(f, "tcb_info.json", func(e envelope) []byte { return e.TCBInfo })
	for _, b := range seeds(f, "dcap/collateral", "tdx-*/tcb_info.json") {
		f.Add(bytes.ReplaceAll(b, []byte("TDX_03"), []byte("TDX_0A")))
		f.Add(bytes.ReplaceAll(b, []byte("TDX_03"), []byte("tdx_01")))
	}
	v, chain := NewVerifier(IntelRoots()), issuerChain(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEnvelope(b)
		if _, err2 := v.TCBInfo(b, chain); err2 == nil && (err != nil || !signed.has(e.TCBInfo)) {
			t.Fatalf("TCB info that Intel has not signed is accepted: %s", b)
		} else if err2 != nil {
			refusedFor(t, err2, evidence.TCBInfoSignature, evidence.TCBInfoFormat)
		}
		var first, second TCBInfo
		bounded(t, len(b), func() { err = first.read(e.TCBInfo) })
		if err2 := second.read(bytes.Clone(e.TCBInfo)); (err == nil) != (err2 == nil) || !reflect.DeepEqual(first, second) {
			t.Fatalf("read twice, two results: %+v (%v), %+v (%v)", first, err, second, err2)
		}
		if err != nil {
			return
		}
		for i, l := range first.levels {
			if i > 0 && l.compare(first.levels[i-1]) > 0 || !slices.Contains(platformStatuses(), l.status) {
				t.Errorf("level %d, %v %s, stands behind %v", i, l.tcb, l.status, first.levels[i-1].tcb)
			}
			var td *teeTCB
			if first.tee == TDX {
				td = &l.tdx
			}
			if r, refusal := first.rate(l.tcb, td); refusal != nil || first.tee == SGX && r.status != l.status {
				t.Errorf("a platform at level %d (%s) is rated %s (%v)", i, l.status, r.status, refusal)
			}
			agree(t, l.tdx, first.levels[0].tdx)
		}
		modulesHold(t, &first)
	})
}

func FuzzQEIdentity(f *testing.F) {
	signed := documentSeeds(f, "qe_identity.json", func(e envelope) []byte { return e.EnclaveIdentity })
	v, chain := NewVerifier(IntelRoots()), issuerChain(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEnvelope(b)
		if _, err2 := v.QEIdentity(b, chain); err2 == nil && (err != nil || !signed.has(e.EnclaveIdentity)) {
			t.Fatalf("an identity that Intel has not signed is accepted: %s", b)
		} else if err2 != nil {
			refusedFor(t, err2, evidence.QEIdentitySignature, evidence.QEIdentityFormat)
		}
		var first, second QEIdentity
		bounded(t, len(b), func() { err = first.read(e.EnclaveIdentity) })
		if err2 := second.read(bytes.Clone(e.EnclaveIdentity)); (err == nil) != (err2 == nil) || !reflect.DeepEqual(first, second) {
			t.Fatalf("read twice, two results: %+v (%v), %+v (%v)", first, err, second, err2)
		}
		if err != nil {
			return
		}
		for i, l := range first.levels {
			if r, refusal := first.rate(l.svn); refusal != nil || r.status != l.status || !slices.Contains(identityStatuses(), l.status) {
				t.Errorf("an enclave at level %d (%s) is rated %s (%v)", i, l.status, r.status, refusal)
			}
		}
	})
}

func FuzzCRL(f *testing.F) {
	signed := known{}
	for _, b := range append(seeds(f, "dcap/collateral", "*/*_crl.der"), seeds(f, "dcap/synthetic", "*/*_crl.der")...) {
		signed.add(b)
		f.Add(b)
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b}))
		f.Add([]byte(hex.EncodeToString(b)))
	}
	v := NewVerifier(IntelRoots())
	anchor := Anchor{}
	for a := range v.roots.keys {
		anchor = a
	}
	var ca *CA
	for _, b := range chains(f) {
		if c, err := v.checkChain(b); err == nil {
			ca = c.ca
		}
	}
	if ca == nil {
		vectortest.NoCase(f, "PCK chain")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		load := []func() (*CRL, error){
			func() (*CRL, error) { return v.RootCRL(b, anchor) },
			func() (*CRL, error) { return v.PCKCRL(b, ca) },
		}
		for _, load := range load {
			var crl *CRL
			var err error
			bounded(t, len(b), func() { crl, err = load() })
			if err != nil {
				refusedFor(t, err, evidence.CRLFormat, evidence.CRLSignature)
				continue
			}
			if !signed.has(crl.list.Raw) {
				t.Errorf("a list that Intel has not signed is accepted: %x", crl.list.Raw)
			}
			if got := hashC(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl.list.Raw})); got != crl.pemHash {
				t.Errorf("hash %x depends on the form, want %x", crl.pemHash, got)
			}
		}
	})
}
