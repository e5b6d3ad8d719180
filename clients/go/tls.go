package kandinsky

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// TLSFiles names certificates in PEM.
type TLSFiles struct {
	CA          string // whom to trust; empty: the system's roots
	Certificate string // this client's certificate chain, for mutual TLS; needs Key
	Key         string // its private key, without password; needs Certificate
}

// LoadTLS reads certificates for [WithTLS]. Errors are those of opening the files, or wrap [ErrArgument].
func LoadTLS(files TLSFiles) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CA != "" {
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, argumentError("CA: no PEM certificate in %s", files.CA)
		}
	}
	if (files.Certificate == "") != (files.Key == "") {
		return nil, argumentError("Certificate and Key need each other: one of them is empty")
	}
	if files.Certificate != "" {
		certificate, err := keyPair(files)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

func keyPair(files TLSFiles) (tls.Certificate, error) {
	certificate, err := os.ReadFile(files.Certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := os.ReadFile(files.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, argumentError("%s and its key %s: %v", files.Certificate, files.Key, err)
	}
	return pair, nil
}
