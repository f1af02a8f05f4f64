package challenge

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"strconv"
	"time"
)

// windowLength is how long a key seals. Within it a key makes far fewer than the 2^32 contexts that random nonces bear.
const windowLength = time.Hour

// purpose is authenticated along with each context.
const purpose = "assay tpm service context v1"

// windowOf gives the number of the window that a time lies in, counted from 1970.
func windowOf(t time.Time) int64 {
	return t.Truncate(windowLength).Unix() / int64(windowLength/time.Second)
}

// start is when a window begins, for windows near the present.
func start(window int64) time.Time {
	return time.Unix(window*int64(windowLength/time.Second), 0)
}

// aead is the key of a window: AES-256-GCM with a random nonce in front of the ciphertext.
func (k *Keeper) aead(window int64) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.key.Derive("tpm context " + strconv.FormatInt(window, 10)))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// name is what a context calls the key of a window: the number of the window and 24 bytes that only this service knows, so that
// a name of its own tells how old it is and a made-up one tells nothing.
func (k *Keeper) name(window int64) (name [nameSize]byte) {
	binary.BigEndian.PutUint64(name[:], uint64(window))
	copy(name[8:], k.key.Derive("tpm context name "+strconv.FormatInt(window, 10)))
	return name
}

// window finds the window of a key by its name, and refuses keys that are not in use. A key has retired when all that was
// sealed with it has expired. One that is to seal later is known to a replica whose clock is ahead.
func (k *Keeper) window(name [nameSize]byte, now time.Time) (int64, error) {
	w := int64(binary.BigEndian.Uint64(name[:]))
	own := k.name(w)
	if subtle.ConstantTimeCompare(name[:], own[:]) != 1 {
		return 0, refuse("the service context was made with a key that is not this service's").
			Do(anew + "; replicas of one service need the same sealing key")
	}
	if end := start(w + 1); !now.Before(end.Add(MaxLifetime)) {
		return 0, refuse("the service context was made with a key that has retired").
			Want("a key in use until "+stamp(now.Add(-MaxLifetime))+" or later", stamp(end)).Do(anew)
	}
	if begin := start(w); begin.After(now.Add(Skew)) {
		return 0, refuse("the service context was made with a key that is not in use yet").
			Want("a key in use from "+stamp(now.Add(Skew))+" or earlier", stamp(begin)).
			Do("set the clocks of the service's replicas right")
	}
	return w, nil
}
