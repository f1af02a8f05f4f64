package hcl_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// checks are the words that are right for a reason class of the vectors.
func checks(code string) []evidence.Check {
	if code == "REPORT_DATA" {
		return []evidence.Check{evidence.RuntimeData}
	}
	return []evidence.Check{evidence.HCLFormat}
}

func TestContainersOfTheVectors(t *testing.T) {
	var cases []struct{ ID, File, Expect, Code string }
	vectortest.ReadJSON(t, "snp/hcl-synthetic/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "HCL container")
	}
	for _, c := range cases {
		got, err := hcl.Parse(vectortest.Read(t, "snp/hcl-synthetic/"+c.File))
		if c.Expect == "accept" {
			if err != nil || got.Type != hcl.SNP || len(got.Hardware) != 1184 || got.RuntimeData[0] != '{' {
				t.Errorf("%s: got %+v (%v)", c.ID, got, err)
			}
			continue
		}
		r, ok := errors.AsType[*evidence.Refusal](err)
		if !ok || !slices.Contains(checks(c.Code), r.Check) {
			t.Errorf("%s: got %v, want a refusal for one of %v", c.ID, err, checks(c.Code))
		}
	}
}

// Real containers of SNP guests stand beside their report and runtime data.
func TestRealContainersOfSNPGuests(t *testing.T) {
	var cases []struct {
		ID, Report, HCL string
		RuntimeData     string `json:"runtime_data"`
	}
	vectortest.ReadJSON(t, "snp/real.json", &cases)
	n := 0
	for _, c := range cases {
		if c.HCL == "" {
			continue
		}
		n++
		got, err := hcl.Parse(vectortest.Read(t, "snp/"+c.HCL))
		if err != nil || got.Type != hcl.SNP {
			t.Errorf("%s: got %+v (%v)", c.ID, got, err)
			continue
		}
		if !bytes.Equal(got.Hardware, vectortest.Read(t, "snp/"+c.Report)) {
			t.Errorf("%s: another hardware report", c.ID)
		}
		if c.RuntimeData != "" && !bytes.Equal(got.RuntimeData, vectortest.Read(t, "snp/"+c.RuntimeData)) {
			t.Errorf("%s: other runtime data", c.ID)
		}
	}
	if n == 0 {
		vectortest.NoCase(t, "real HCL container")
	}
}

// The type decides, never a name: one of these is called snp where it comes from.
func TestRealContainersOfTDXGuests(t *testing.T) {
	var cases []struct {
		File       string
		ReportData string `json:"reportdata"`
	}
	vectortest.ReadJSON(t, "snp/hcl-tdx/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "HCL container of a TDX guest")
	}
	for _, c := range cases {
		got, err := hcl.Parse(vectortest.Read(t, "snp/"+c.File))
		if err != nil || got.Type != hcl.TDX || len(got.Hardware) != 1024 {
			t.Errorf("%s: got %+v (%v)", c.File, got, err)
			continue
		}
		if data := got.ReportData(); !strings.HasPrefix(hex.EncodeToString(data[:]), strings.ToLower(c.ReportData)) {
			t.Errorf("%s: report data %x, want %s", c.File, data, c.ReportData)
		}
	}
}

func TestARealContainerThatWasEditedIsRefused(t *testing.T) {
	_, err := hcl.Parse(vectortest.Read(t, "maa/azureguest/snp-hcl-report-edited.bin"))
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.RuntimeData {
		t.Errorf("got %v, want a refusal for runtime-data", err)
	}
}

func TestASizeAtTheBound(t *testing.T) {
	real := vectortest.Read(t, "snp/hcl-synthetic/ok.bin")
	if _, err := hcl.Parse(append(real, make([]byte, hcl.MaxSize-len(real))...)); err != nil {
		t.Errorf("%d bytes: %v", hcl.MaxSize, err)
	}
	if _, err := hcl.Parse(append(real, make([]byte, hcl.MaxSize+1-len(real))...)); err == nil {
		t.Errorf("%d bytes are read", hcl.MaxSize+1)
	}
	if _, err := hcl.Parse(append(slices.Clone(real), 1)); err == nil {
		t.Error("a byte behind the zeros is passed over")
	}
}

// No byte of what is read can be changed without notice but those of the hardware report that are not its report data.
func TestEachByteOfTheFrameCounts(t *testing.T) {
	real := vectortest.Read(t, "snp/hcl-synthetic/ok-unpadded.bin")
	for i := range real {
		reserved, report := i >= 20 && i < 32, i >= 32 && i < 1216 && (i < 32+0x50 || i >= 32+0x50+64)
		if reserved || report {
			continue
		}
		bad := slices.Clone(real)
		bad[i] ^= 0x40
		if _, err := hcl.Parse(bad); err == nil {
			t.Errorf("byte %d can be changed", i)
		}
	}
}

func FuzzContainer(f *testing.F) {
	for _, name := range []string{"snp/hcl-synthetic/ok.bin", "snp/hcl-synthetic/var-size-huge.bin", "snp/hcl-tdx/kinvolk-tdx.bin"} {
		f.Add(vectortest.Read(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := hcl.Parse(b)
		if err != nil {
			if _, ok := errors.AsType[*evidence.Refusal](err); !ok {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		if !bytes.Contains(b, c.RuntimeData) || len(c.RuntimeData) > len(b)-1236 {
			t.Errorf("%d bytes of runtime data in %d", len(c.RuntimeData), len(b))
		}
	})
}
