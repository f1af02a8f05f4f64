package attester

import (
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// maxLoaded is for how many handles a TPM is asked at once: as many as an answer holds.
const maxLoaded = 254

// within does something with keys and sessions in the TPM, and takes out afterwards what was not there before: also that of which a lost
// answer should have told the handle. Nothing counts as done with a TPM that cannot be cleaned.
func (t *TPM) within(do func() error) error {
	before, err := t.loaded()
	if err != nil {
		return err
	}
	err = do()
	if cleaned := t.clean(before); err == nil {
		err = cleaned
	}
	return err
}

// clean takes out what was not there before. What fails once is tried again, and told all the same.
func (t *TPM) clean(before []tpm2.TPMHandle) error {
	err := t.sweep(before)
	if err != nil {
		_ = t.sweep(before) // the first error is the one to tell
	}
	return err
}

func (t *TPM) sweep(before []tpm2.TPMHandle) error {
	now, err := t.loaded()
	for _, handle := range now {
		if slices.Contains(before, handle) {
			continue
		}
		if _, flushErr := (tpm2.FlushContext{FlushHandle: handle}).Execute(t.link); flushErr != nil {
			return failed("taking its keys out of it", flushErr)
		}
	}
	return err
}

// loaded lists the keys and sessions in the TPM. Those of other programs are seen only where there is no resource manager.
func (t *TPM) loaded() ([]tpm2.TPMHandle, error) {
	const firstKey, firstSession = 0x80000000, 0x02000000 // TPM_HT_TRANSIENT, TPM_HT_LOADED_SESSION
	keys, err := t.handles("listing what is in it", firstKey, maxLoaded)
	if err != nil {
		return nil, err
	}
	sessions, err := t.handles("listing what is in it", firstSession, maxLoaded)
	return append(keys, sessions...), err
}

// handles lists at most so many handles of the kind of the first one, from that on.
func (t *TPM) handles(doing string, first tpm2.TPMHandle, most uint32) ([]tpm2.TPMHandle, error) {
	answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: most}.Execute(t.link)
	if err != nil {
		return nil, failed(doing, err)
	}
	handles, err := answer.CapabilityData.Data.Handles()
	if err != nil {
		return nil, failed(doing, err)
	}
	return handles.Handle, nil
}
