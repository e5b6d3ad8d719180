package kandinsky_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
)

// certificates writes a self-signed certificate for 127.0.0.1, its own authority, and returns the files.
func certificates(t *testing.T) kandinsky.TLSFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	files := kandinsky.TLSFiles{
		CA:          filepath.Join(folder, "certificate.pem"),
		Certificate: filepath.Join(folder, "certificate.pem"),
		Key:         filepath.Join(folder, "key.pem"),
	}
	for path, block := range map[string]*pem.Block{
		files.Certificate: {Type: "CERTIFICATE", Bytes: certificate},
		files.Key:         {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func loaded(t *testing.T, files kandinsky.TLSFiles) *tls.Config {
	t.Helper()
	config, err := kandinsky.LoadTLS(files)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestTLS(t *testing.T) {
	files := certificates(t)
	config := loaded(t, files)
	config.ClientCAs = config.RootCAs
	open := &tls.Config{Certificates: config.Certificates}
	mutual := &tls.Config{Certificates: config.Certificates, ClientCAs: config.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert}
	trusting := loaded(t, kandinsky.TLSFiles{CA: files.CA})
	for name, test := range map[string]struct {
		server *tls.Config
		client *tls.Config
		works  bool
	}{
		"trusted":                    {open, trusting, true},
		"not trusted":                {open, nil, false},
		"mutual":                     {mutual, config, true},
		"mutual, without":            {mutual, trusting, false},
		"server that has no TLS":     {nil, trusting, false},
		"another name in the target": {open, &tls.Config{RootCAs: trusting.RootCAs, ServerName: "elsewhere"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var options []grpc.ServerOption
			if test.server != nil {
				options = append(options, grpc.Creds(credentials.NewTLS(test.server)))
			}
			server := &fakeServer{}
			address, stop, err := server.serve(options...)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			// Retries would go on until the deadline.
			client := connect(t, address, kandinsky.WithTLS(test.client), kandinsky.WithRetries(1000))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err = client.Info(ctx)
			var failed *kandinsky.Error
			if (err == nil) != test.works || (err != nil && (!errors.As(err, &failed) || failed.Code != codes.Unavailable)) {
				t.Errorf("got %v", err)
			}
			if ctx.Err() != nil {
				t.Error("was tried again")
			}
		})
	}
}

func TestFilesThatAreNoCertificates(t *testing.T) {
	files := certificates(t)
	other := certificates(t)
	for name, wrong := range map[string]kandinsky.TLSFiles{
		"a key as authority": {CA: files.Key},
		"no key":             {Certificate: files.Certificate},
		"no certificate":     {Key: files.Key},
		"another's key":      {Certificate: files.Certificate, Key: other.Key},
	} {
		if _, err := kandinsky.LoadTLS(wrong); !errors.Is(err, kandinsky.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, missing := range []kandinsky.TLSFiles{{CA: "nowhere"}, {Certificate: "nowhere", Key: files.Key}, {Certificate: files.Certificate, Key: "nowhere"}} {
		if _, err := kandinsky.LoadTLS(missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}
}
