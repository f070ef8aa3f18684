package records

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A keyLog has the secrets of a session, by the client's random and their label.
type keyLog map[string]map[string][]byte

func readKeyLog(text []byte) keyLog {
	keys := keyLog{}
	for line := range strings.Lines(string(text)) {
		field := strings.Fields(line)
		if len(field) != 3 {
			continue // a comment
		}
		random, err := hex.DecodeString(field[1])
		secret, err2 := hex.DecodeString(field[2])
		if err != nil || err2 != nil {
			continue
		}
		if keys[string(random)] == nil {
			keys[string(random)] = map[string][]byte{}
		}
		keys[string(random)][field[0]] = secret
	}
	return keys
}

// A lock opens the records of one direction, one after the other, while their
// secret lasts: RFC 8446, sections 5.2, 5.3 and 7.3.
type lock struct {
	hash   func() hash.Hash
	suite  uint16
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	count  uint64
}

// next takes the secret with this label into use.
func (e *end) next(r *Reader, fromClient bool, label string) {
	if r.version != tls13 {
		return
	}
	side := "SERVER"
	if fromClient {
		side = "CLIENT"
	}
	e.open = newLock(r.suite, r.keys[r.random][side+label])
}

func newLock(suite uint16, secret []byte) *lock {
	if secret == nil {
		return nil
	}
	l := &lock{hash: sha256.New, suite: suite, secret: secret}
	size := 16
	switch suite {
	case 0x1301: // TLS_AES_128_GCM_SHA256
	case 0x1302: // TLS_AES_256_GCM_SHA384
		l.hash, size = sha512.New384, 32
	case 0x1303: // TLS_CHACHA20_POLY1305_SHA256
		size = 32
	default:
		return nil
	}
	key, err := expand(l.hash, secret, "key", size)
	if err != nil {
		return nil
	}
	if l.iv, err = expand(l.hash, secret, "iv", 12); err != nil {
		return nil
	}
	if suite == 0x1303 {
		l.aead, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			l.aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		return nil
	}
	return l
}

// update is the lock after KeyUpdate: RFC 8446, section 7.2.
func (l *lock) update() *lock {
	if l == nil {
		return nil
	}
	secret, err := expand(l.hash, l.secret, "traffic upd", len(l.secret))
	if err != nil {
		return nil
	}
	return newLock(l.suite, secret)
}

// expand is HKDF-Expand-Label without a context: RFC 8446, section 7.1.
func expand(h func() hash.Hash, secret []byte, label string, length int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label+"\x00"...)
	return hkdf.Expand(h, secret, string(info), length)
}

// unlock opens a record: what it really is, and its content. The type 0 says
// that this was not possible.
func (e *end) unlock(record []byte) (kind byte, content []byte) {
	if e.open == nil {
		return 0, nil
	}
	nonce := bytes.Clone(e.open.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(e.open.count >> (56 - 8*i))
	}
	plain, err := e.open.aead.Open(nil, nonce, record[5:], record[:5])
	if err != nil {
		e.open = nil
		return 0, nil
	}
	e.open.count++
	plain = bytes.TrimRight(plain, "\x00") // padding
	if len(plain) == 0 {
		return 0, nil
	}
	return plain[len(plain)-1], plain[:len(plain)-1]
}
