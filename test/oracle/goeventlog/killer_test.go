package goeventlog

import (
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-eventlog/extract"
	pb "github.com/google/go-eventlog/proto/state"
	"github.com/google/go-eventlog/register"
	"github.com/google/go-eventlog/tpmeventlog"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// killer is a genuine log with an event of a vendor's type.
const killer = "tpm/eventlogs/rust-keylime-vendor-event.bin"

// childEnv makes the test binary the process that is to die.
const childEnv = "ASSAY_ORACLE_CHILD"

// The library recurses without end on the killer and takes its process with it, which no recover can prevent. We read it: it is one of
// the logs of TestRealLogsAreReadAlike, where the library only parses and replays.
func TestTheLogThatKillsTheLibraryHarmsUsNot(t *testing.T) {
	b := vectortest.Read(t, killer)
	pcrs, err := compare.PCRs(b, tpm.SHA256)
	if err != nil || len(pcrs) == 0 {
		t.Fatalf("%d PCRs, %v", len(pcrs), err)
	}
	if os.Getenv(childEnv) != "" {
		debug.SetMaxStack(64 << 20)
		_, err := tpmeventlog.ReplayAndExtract(b, bank(pcrs), extract.Opts{})
		t.Logf("survived: %v", err)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), childEnv+"=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "stack exceeds") {
		t.Errorf("the library did not die of its recursion: %v\n%.2000s", err, out)
	}
}

func bank(pcrs []compare.PCR) register.PCRBank {
	out := register.PCRBank{TCGHashAlgo: pb.HashAlgo_SHA256}
	for _, p := range pcrs {
		out.PCRs = append(out.PCRs, register.PCR{Index: p.Index, Digest: p.Value, DigestAlg: p.Hash})
	}
	return out
}
