package dcap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
)

// tdxModule is Intel's description of a TDX module, of one version or of the first ones, which have no identity of their own (sgx-tdx.md
// section 5.2).
type tdxModule struct {
	id               string // TDX_01; empty: of the first ones
	mrsigner         [48]byte
	attributes, mask [8]byte
	levels           []svnLevel // highest first; none of the first ones
}

// wireModule is a module in TCB info.
type wireModule struct {
	ID         string         `json:"id"`
	MRSIGNER   string         `json:"mrsigner"`
	Attributes string         `json:"attributes"`
	Mask       string         `json:"attributesMask"`
	Levels     []wireSVNLevel `json:"tcbLevels"`
}

// moduleStatuses are the words that a level of a TDX module may have.
func moduleStatuses() []Status { return []Status{UpToDate, OutOfDate, RevokedTCB} }

// readModules reads what TCB info for TDX says about modules.
func (t *TCBInfo) readModules(module *wireModule, identities []wireModule) (err error) {
	if module == nil {
		return errors.New("tdxModule is missing")
	}
	if t.module, err = module.read(); err != nil {
		return fmt.Errorf("tdxModule: %w", err)
	}
	for i, w := range identities {
		m, err := w.read()
		switch {
		case err != nil:
		case !isModuleID(m.id):
			err = errors.New("id: expected TDX_ and two hexadecimal digits")
		case t.identity(m.id) != nil:
			err = errors.New("id: it is there twice")
		default:
			m.levels, err = readSVNLevels(w.Levels, moduleStatuses())
		}
		if err != nil {
			return fmt.Errorf("tdxModuleIdentities[%d]: %w", i, err)
		}
		t.identities = append(t.identities, m)
	}
	return nil
}

func (w *wireModule) read() (m tdxModule, err error) {
	m.id = w.ID
	return m, errors.Join(unhex(m.mrsigner[:], "mrsigner", w.MRSIGNER), unhex(m.attributes[:], "attributes", w.Attributes), unhex(m.mask[:], "attributesMask", w.Mask))
}

// isModuleID tells an id such as TDX_01, in any case.
func isModuleID(id string) bool {
	var version [1]byte
	return len(id) == 6 && strings.EqualFold(id[:4], "TDX_") && unhex(version[:], "id", id[4:]) == nil
}

// moduleID is the id of the identity for a version of the module, whose digits are hexadecimal.
func (t teeTCB) moduleID() string { return fmt.Sprintf("TDX_%02X", t[1]) }

// identity finds the identity of a module by its id, which is matched without regard to case; nil if there is none.
func (t *TCBInfo) identity(id string) *tdxModule {
	i := slices.IndexFunc(t.identities, func(m tdxModule) bool { return strings.EqualFold(m.id, id) })
	if i < 0 {
		return nil
	}
	return &t.identities[i]
}

// moduleOf finds the description of the module that a TD of the given TCB runs on.
func (t *TCBInfo) moduleOf(tcb teeTCB) (*tdxModule, *evidence.Refusal) {
	if !tcb.hasModule() {
		return &t.module, nil
	}
	if m := t.identity(tcb.moduleID()); m != nil {
		return m, nil
	}
	ids := []string{"TDX_00"}
	for _, m := range t.identities {
		ids = append(ids, m.id)
	}
	return nil, evidence.Refuse(evidence.TDXModule, "Intel describes no TDX module of this version").
		Want("one of "+strings.Join(ids, ", "), tcb.moduleID()).Do("run the TD on a TDX module of Intel's, or fetch newer TCB info")
}

// matches checks that the module behind a report is the one described (sgx-tdx.md section 7 step 6). Attributes of the module must be
// zero besides, as Intel's library demands.
func (m *tdxModule) matches(r *TDReport) *evidence.Refusal {
	differ := func(what string, expected, found []byte) *evidence.Refusal {
		return evidence.Refuse(evidence.TDXModule, "the TDX module is not the one Intel describes: %s", what).
			Want(fmt.Sprintf("%x", expected), fmt.Sprintf("%x", found)).Do("run the TD on a TDX module of Intel's")
	}
	switch {
	case r.MRSIGNERSEAM != m.mrsigner:
		return differ("MRSIGNERSEAM", m.mrsigner[:], r.MRSIGNERSEAM[:])
	case !maskedEqual(r.SEAMAttributes[:], m.attributes[:], m.mask[:]):
		return differ("SEAMATTRIBUTES under its mask", m.attributes[:], r.SEAMAttributes[:])
	case !bytes.Equal(r.SEAMAttributes[:], make([]byte, len(r.SEAMAttributes))):
		return differ("SEAMATTRIBUTES", make([]byte, len(r.SEAMAttributes)), r.SEAMAttributes[:])
	}
	return nil
}

// rate finds the first level, from the highest, that the module of a TD reaches. A module without an identity is not rated.
func (m *tdxModule) rate(tcb teeTCB) (rating, *evidence.Refusal) {
	if l, ok := reached(m.levels, uint16(tcb[0])); ok {
		return l, nil
	}
	return rating{}, evidence.Refuse(evidence.TCBNotSupported, "the TDX module is below every level of its identity %s", m.id).
		Want(fmt.Sprintf("isvsvn at least %d", m.levels[len(m.levels)-1].svn), tcb[0]).Do("update the TDX module of the platform")
}
