package seal

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// hashed is a secret for each label.
func hashed(label string) []byte {
	sum := sha256.Sum256([]byte(label))
	return sum[:]
}

// TestAKeyIsItsSecretAsAScalar: whoever changes the labels or the derivation changes all CAs of all services.
func TestAKeyIsItsSecretAsAScalar(t *testing.T) {
	key, err := P256(hashed, "aik authority p")
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.Bytes()
	if err != nil || !bytes.Equal(scalar, hashed("aik authority p 0")) {
		t.Errorf("scalar %x, %v", scalar, err)
	}
}

func TestASecretThatIsNoKeyIsPassedOver(t *testing.T) {
	order := bytes.Repeat([]byte{0xff}, KeySize) // more than the order of P-256
	key, err := P256(func(label string) []byte {
		if label == "n 0" {
			return order
		}
		return hashed(label)
	}, "n")
	if err != nil {
		t.Fatal(err)
	}
	if scalar, err := key.Bytes(); err != nil || !bytes.Equal(scalar, hashed("n 1")) {
		t.Errorf("scalar %x, %v", scalar, err)
	}
	asked := 0
	_, err = P256(func(string) []byte { asked++; return order }, "n")
	if err == nil || asked != 8 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
