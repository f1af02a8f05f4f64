package measured

import (
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// The PCRs that Windows measures its boot into (tpm.md section 10.1).
const (
	optionsPCR     = 12
	modulesPCR     = 13
	authoritiesPCR = 14
)

// endOfBoot is what Windows measures into PCR 12, 13 and 14 when it leaves the boot phase.
const endOfBoot = "WBCL"

// tag is an EV_EVENT_TAG of Windows that is believed and was measured before the end of the boot phase of its PCR.
type tag struct {
	pcr      uint32
	elements settings
}

// windows is what the records tell about a boot of Windows.
type windows struct {
	mark    mark
	ended   [tpm.PCRCount]bool // the boot phase of the PCR is over
	found   bool               // the logs are of Windows
	offence error              // a record that would not be there if they are
}

func newWindows(banks []tpm.Bank) windows { return windows{mark: newMark(banks, endOfBoot)} }

// eventTag judges an EV_EVENT_TAG of a quoted PCR. Elsewhere than in the PCRs of Windows its digest often is of something else.
// In PCR 11 it must be as measured, but says nothing: no record ends the boot phase there. The same goes for the PCRs of a
// dynamic launch where none was logged.
func (j *judge) eventTag(r *eventlog.Record, data believed) (decoded, error) {
	dynamic := r.PCR >= firstDynamicPCR && r.PCR <= lastDynamicPCR
	if !dynamic && (r.PCR < firstTagPCR || r.PCR > lastTagPCR) {
		return nil, nil
	}
	if !data.holds {
		return nil, j.edited(r)
	}
	if j.win.ended[r.PCR] || r.PCR == firstTagPCR || dynamic && !j.drtm {
		return nil, nil
	}
	elements, err := decodeSettings(data, j.opt.Depth)
	if err != nil {
		return nil, unreadable(evidence.WindowsEvents, j.title(r), err)
	}
	j.boot.tags = append(j.boot.tags, tag{r.PCR, elements})
	return elements, nil
}

// separatorSize is the length of a separator's data. No element fits into it, so that none vanishes as a separator.
const separatorSize = 4

// watchWindows applies the rule against retyped records (tpm.md section 7.4): in a log of Windows PCR 12 and 13 have nothing but believed tags and
// separators up to the end of the boot phase. Whether it is one is known at the end only.
func (j *judge) watchWindows(r *eventlog.Record, data believed) {
	w := &j.win
	if r.PCR >= tpm.PCRCount || !j.has(int(r.PCR)) {
		return
	}
	watched := r.PCR == optionsPCR || r.PCR == modulesPCR
	good := data.holds && (r.Type == eventlog.EventTag || r.Type == eventlog.Separator && len(data.data) == separatorSize)
	if watched && !w.ended[r.PCR] && !good && w.offence == nil {
		w.offence = j.refuse(evidence.EventLogType, r, "does not belong into the boot phase of a Windows log").
			Want("EV_EVENT_TAG or EV_SEPARATOR with the data that was measured", r.Type).Do(resend)
	}
	end := j.marks(w.mark, r)
	if end {
		w.ended[r.PCR] = true
	}
	if watched || r.PCR == authoritiesPCR {
		w.found = w.found || end || data.holds && r.Type == eventlog.EventTag
	}
}

// end gives the offence if the logs are of Windows.
func (w *windows) end() error {
	if w.found {
		return w.offence
	}
	return nil
}

// Setting is a believed SIPA element with the PCR it was measured into, before the end of the boot phase.
type Setting struct {
	PCR     uint32
	Element sipa.Element
}

// Settings gives all settings of an id in the order of the log, from PCR 12, 13 and 14, and from PCR 17 to 22 after a dynamic
// launch (tpm-evidence.md section 5).
func (b *Boot) Settings(id sipa.ID) []Setting {
	var all []Setting
	for _, t := range b.tags {
		sipa.Find(t.elements, id, func(e sipa.Element) { all = append(all, Setting{t.pcr, e}) })
	}
	return all
}

// IDKS are the different keys of secure kernels that were measured (VSM_IDKS_INFO) into PCR 12, before its end of the boot phase
// (tpm.md section 11). A value that is no key is left out.
func (b *Boot) IDKS() []sipa.IDKS {
	type key struct {
		modulus  string
		exponent uint32
	}
	var keys []sipa.IDKS
	seen := map[key]bool{}
	for _, s := range b.Settings(sipa.VSMIDKSInfo) {
		k, err := sipa.ParseIDKS(s.Element.Payload)
		if s.PCR != optionsPCR || err != nil {
			continue
		}
		if id := (key{string(k.Modulus), k.Exponent}); !seen[id] {
			seen[id] = true
			keys = append(keys, k)
		}
	}
	return keys
}
