package assaytest

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math/big"
)

// amdKey gives the private key under a label: of an authority RSA, of all others P-384. Keys are made when they are first needed.
func (a *AMD) amdKey(label string, r AMDRole) crypto.Signer {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	label = a.seed + "/" + label
	key, ok := a.keys[label]
	if !ok {
		key = a.makeKey(label, r)
		a.keys[label] = key
	}
	return key
}

func (a *AMD) makeKey(label string, r AMDRole) crypto.Signer {
	if !r.isAuthority() {
		return deriveP384(label)
	}
	if a.primes == nil {
		return deriveRSA(label)
	}
	return deriveRSA4096(label, a.primes[label[len(a.seed)+1:]])
}

// deriveRSA4096 takes as primes, of two sequences of numbers that the label determines, the first ones from the places given on. Looking for primes
// of 2048 bits takes a second each; at the right places no search is needed.
func deriveRSA4096(label string, at [2]int) *rsa.PrivateKey {
	for ; ; at[1]++ {
		key := rsaKey(primeFrom(label+"/p", &at[0]), primeFrom(label+"/q", &at[1]))
		if key != nil {
			return key
		}
	}
}

// primeFrom finds the first prime of the sequence from the place at on, and leaves its place there.
func primeFrom(label string, at *int) *big.Int {
	for ; ; *at++ {
		if n := candidate(label, *at); n.ProbablyPrime(0) {
			return n
		}
	}
}

// candidate is the odd number of 2048 bits, the two highest set, at a place of the sequence.
func candidate(label string, at int) *big.Int {
	b := newStream(fmt.Sprintf("%s/%d", label, at)).bytes(256)
	b[0] |= 0xC0
	b[255] |= 1
	return new(big.Int).SetBytes(b)
}

// wellKnownPrimes are the places of the primes of the well-known AMD, by product and role.
func wellKnownPrimes() map[string][2]int {
	return map[string][2]int{
		"Milan/ARK":  {22, 191},
		"Milan/ASK":  {1970, 734},
		"Milan/ASVK": {205, 660},
		"Genoa/ARK":  {166, 261},
		"Genoa/ASK":  {296, 289},
		"Genoa/ASVK": {286, 85},
		"Turin/ARK":  {689, 155},
		"Turin/ASK":  {89, 161},
		"Turin/ASVK": {295, 561},
	}
}
