package measured_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// TestListsOfEventsAreBounded has a machine log settings that take six times as much room in the claim as in the log.
func TestListsOfEventsAreBounded(t *testing.T) {
	costly := boundary(13, strings.Repeat(element(sipa.VBSHVCIPolicy, on), 110_000))
	m := windows()
	m.insert(m.at(t, 13, costly.typ), costly)
	if _, err := m.boots(t).Events(measured.EventsOptions{}); err != nil {
		t.Errorf("a claim of some 6 MB: %v", err)
	}
	m.logs = append([][]rec{{costly}, {costly}}, m.logs...)
	_, err := m.boots(t).Events(measured.EventsOptions{})
	refused(t, err, evidence.EventLogFormat, "too long a list")
}
