package collateral

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// facts are what the index of the vectors says of a signed document.
type facts struct {
	ID         string    `json:"id"`
	FMSPC      string    `json:"fmspc"`
	IssueDate  time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	Evaluation uint32    `json:"tcbEvaluationDataNumber"`
}

type vectorIndex struct {
	Collateral []struct {
		Dir        string `json:"dir"`
		TCBInfo    facts  `json:"tcb_info"`
		QEIdentity facts  `json:"qe_identity"`
	} `json:"collateral"`
	Cases []struct {
		Type       string    `json:"type"`
		QuoteFile  string    `json:"quote_file"`
		Collateral string    `json:"collateral_dir"`
		Now        time.Time `json:"now"`
		Policy     string    `json:"policy"`
		Verdict    string    `json:"verdict"`
		TCBEval    uint32    `json:"tcb_eval"`
		QEEval     uint32    `json:"qe_eval"`
	} `json:"cases"`
}

func readIndex(t testing.TB) (index vectorIndex) {
	t.Helper()
	vectortest.ReadJSON(t, "dcap/index.json", &index)
	if len(index.Collateral) == 0 || len(index.Cases) == 0 {
		t.Fatal("the index of the vectors is empty")
	}
	return index
}

func TestStatusOfRecordedCollateral(t *testing.T) {
	v := dcap.NewVerifier(dcap.IntelRoots())
	for _, c := range readIndex(t).Collateral {
		t.Run(c.Dir, func(t *testing.T) {
			s, err := ReadSet(vectortest.Path(t, path.Join("dcap", c.Dir)))
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range s.Status(v) {
				want, key := c.TCBInfo, c.TCBInfo.FMSPC
				switch got.Kind {
				case TCBInfo:
				case QEIdentity:
					want, key = c.QEIdentity, c.QEIdentity.ID
				case PCKCRL:
					if !errors.Is(got.Err, ErrNeedsEvidence) {
						t.Errorf("%s: got error %v, want %v", got.Kind, got.Err, ErrNeedsEvidence)
					}
					continue
				case RootCRL:
					if got.Err != nil || got.NextUpdate.IsZero() {
						t.Errorf("%s: got %+v, want it verified", got.Kind, got)
					}
					continue
				}
				if got.Err != nil || got.Evaluation != want.Evaluation || !strings.EqualFold(got.Key, key) ||
					!got.IssueDate.Equal(want.IssueDate) || !got.NextUpdate.Equal(want.NextUpdate) {
					t.Errorf("%s: got %+v, want %+v", got.Kind, got, want)
				}
			}
		})
	}
}

func TestRecordedQuotesFindTheirCollateral(t *testing.T) {
	v := dcap.NewVerifier(dcap.IntelRoots())
	for _, c := range readIndex(t).Cases {
		if c.Verdict != "accept" || c.Policy != "strict" && c.Policy != "pinned" {
			continue
		}
		t.Run(path.Base(c.QuoteFile)+" "+path.Base(c.Collateral)+" "+c.Policy, func(t *testing.T) {
			s, err := ReadSet(vectortest.Path(t, c.Collateral))
			if err != nil {
				t.Fatal(err)
			}
			quote := vectortest.Read(t, c.QuoteFile)
			if c.Type == "openenclave" {
				quote = quote[16:] // the header of the report
			}
			b := NewBaselines(BaselinesConfig{Stored: []*Set{s}, Verifier: v, Clock: at(c.Now)})
			defer b.Close()
			got, err := b.For(t.Context(), decimal(c.TCBEval), trace(t, v, quote, c.Now))
			if err != nil {
				t.Fatal(err)
			}
			if tcb, qe := got.Collateral.TCBInfo.EvaluationNumber(), got.Collateral.QEIdentity.EvaluationNumber(); tcb != c.TCBEval || qe != c.QEEval {
				t.Errorf("got evaluations %d and %d, want %d and %d", tcb, qe, c.TCBEval, c.QEEval)
			}
		})
	}
}

func TestAllRecordedCollateralIsOneBundle(t *testing.T) {
	dir := vectortest.Path(t, "dcap/collateral")
	folders, err := filepath.Glob(filepath.Join(dir, "*", tcbInfoFile))
	if err != nil {
		t.Fatal(err)
	}
	sets, err := ReadBundle(dir)
	if err != nil || len(sets) == 0 || len(sets) != len(folders) {
		t.Errorf("got %d sets, error %v, want one for each of %d folders", len(sets), err, len(folders))
	}
}
