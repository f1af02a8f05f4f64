package uvm_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/uvm"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Values of the recorded endorsement of confidential containers on ACI (vectors/maa/snp): its issuer is the fingerprint of Microsoft's supply
// chain root with the key purpose of tokens.md section 3.3, and it says 22 for a guest whose report says 2 (README.md section 6).
const (
	did         = "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"
	feed        = "ContainerPlat-AMD-UVM"
	measurement = "51068107cdc7ee3d89c7821b05bca6147eb77b2005ae759050fc049b65a1b0beabc65a9d857acecf23225f5ec76849f5"
)

func recorded(t testing.TB) []byte {
	t.Helper()
	return vectortest.Read(t, "maa/snp/aci-sidecar.uvm-endorsement.cose")
}

func measured(t testing.TB) (m [48]byte) {
	t.Helper()
	report := vectortest.Read(t, "maa/snp/aci-sidecar.report.bin")
	copy(m[:], report[0x90:])
	if hex.EncodeToString(m[:]) != measurement {
		t.Fatalf("the report is of %x", m)
	}
	return m
}

func refused(t *testing.T, name string, err error, part string) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || r.Check != evidence.UVMEndorsement || !strings.Contains(r.Error(), part) {
		t.Errorf("%s: got %v, want a refusal that says %q", name, err, part)
	}
}

func TestTheRecordedEndorsementIsOfTheRecordedReport(t *testing.T) {
	e, err := uvm.Parse(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	if e.Issuer != did || e.Feed != feed || e.SVN != 22 || hex.EncodeToString(e.Measurement[:]) != measurement {
		t.Errorf("got %+v", e)
	}
	if got := e.SignedAt.Format("2006-01-02T15:04:05Z"); got != "2023-02-08T05:42:23Z" {
		t.Errorf("signed at %s", got)
	}
	if err := e.Endorses(uvm.Issuer{DID: did, Feed: feed, MinSVN: 22}, measured(t)); err != nil {
		t.Error(err)
	}
}

func TestEndorsementsThatDoNotCount(t *testing.T) {
	e, err := uvm.Parse(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	other := measured(t)
	other[47]++
	for name, c := range map[string]struct {
		issuer      uvm.Issuer
		measurement [48]byte
		part        string
	}{
		"another issuer":      {uvm.Issuer{DID: strings.Replace(did, "59.1.2", "59.1.1", 1), Feed: feed}, measured(t), "another issuer"},
		"no issuer":           {uvm.Issuer{Feed: feed}, measured(t), "cannot be read"},
		"another feed":        {uvm.Issuer{DID: did, Feed: "ContainerPlat-AMD-UVM-2"}, measured(t), "another feed"},
		"an older version":    {uvm.Issuer{DID: did, Feed: feed, MinSVN: 23}, measured(t), "too low"},
		"another measurement": {uvm.Issuer{DID: did, Feed: feed, MinSVN: 22}, other, "another measurement"},
	} {
		refused(t, name, e.Endorses(c.issuer, c.measurement), c.part)
	}
}

func TestIdentifiersOfIssuers(t *testing.T) {
	if err := uvm.CheckDID(did); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "did:x509", "did:web:example", strings.TrimSuffix(did, "::eku:1.3.6.1.4.1.311.76.59.1.2"), did + "::eku:1.2", strings.Replace(did, "eku", "subject", 1),
		strings.Replace(did, ":0:", ":1:", 1), strings.Replace(did, "sha256", "sha512", 1), strings.Replace(did, "I__i", "I__", 1), strings.Replace(did, "pt9s", "pt9t", 1),
	} {
		if uvm.CheckDID(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// No byte that is signed, nor one of the signature, can be changed. The time stamp is neither.
func TestNoSignedByteCanBeChanged(t *testing.T) {
	good := recorded(t)
	stamp := bytes.Index(good, []byte("timestamp"))
	payload := bytes.Index(good, []byte("{\n"))
	if stamp < 0 || payload < stamp {
		t.Fatal("the endorsement has another form")
	}
	for i := 0; i < len(good); i += 7 {
		if i > stamp && i < payload-3 {
			continue
		}
		bad := slices.Clone(good)
		bad[i] ^= 1
		if e, err := uvm.Parse(bad); err == nil {
			t.Errorf("byte %d can be changed: %+v", i, e)
		}
	}
}

func TestTheLengthIsBounded(t *testing.T) {
	_, err := uvm.Parse(make([]byte, uvm.MaxSize+1))
	refused(t, "too long", err, "too long")
	_, err = uvm.Parse(make([]byte, uvm.MaxSize))
	refused(t, "zeros", err, "no COSE_Sign1")
}

func FuzzParse(f *testing.F) {
	f.Add(recorded(f))
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := uvm.Parse(b)
		if err != nil {
			if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.UVMEndorsement {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		if err := e.Endorses(uvm.Issuer{DID: did, Feed: feed}, e.Measurement); err == nil && hex.EncodeToString(e.Measurement[:]) != measurement {
			t.Errorf("an endorsement that nobody recorded counts: %+v", e)
		}
	})
}

// What an endorsement says of itself is quoted in parts that are text still: explanations are JSON.
func TestRefusalsAreText(t *testing.T) {
	e, err := uvm.Parse(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	long := "x" + strings.Repeat("é", 100)
	for _, edit := range []func(){func() { e.Feed = long }, func() { e.Issuer = long }} {
		edit()
		err := e.Endorses(uvm.Issuer{DID: did, Feed: feed}, measured(t))
		if text := fmt.Sprint(err); !utf8.ValidString(text) || !strings.Contains(text, "xé") || strings.Contains(text, long) {
			t.Errorf("got %q", text)
		}
	}
}
