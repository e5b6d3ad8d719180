package kandinsky

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// ErrArgument is what the client itself refuses, before anything is sent.
var ErrArgument = errors.New("kandinsky: invalid argument")

// longestTimeout is what counts as no limit: three years. What gRPC cannot count has passed at once.
const longestTimeout = 1e8 * time.Second

var metadataKey = regexp.MustCompile(`^[a-z0-9_.-]+$`)

// Option is an option of [New].
type Option func(*settings) error

type settings struct {
	timeout  time.Duration
	retries  int
	priority kandinskyapiv1.Priority
	token    string
	metadata map[string]string
	tls      *tls.Config
	dial     []grpc.DialOption
}

func settingsOf(target string, options []Option) (*settings, error) {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		return nil, argumentError("target must be an address such as localhost:50051, not the URL %s", target)
	}
	s := &settings{retries: 5}
	for _, option := range options {
		if err := option(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// WithTimeout bounds each call whose context has no deadline, retries and waits included. Default: no limit, as is anything beyond
// three years.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return argumentError("timeout must be above 0, not %v; leave it out for no limit", timeout)
		}
		s.timeout = timeout
		if timeout > longestTimeout {
			s.timeout = 0
		}
		return nil
	}
}

// WithRetries sets the most retries of a call that the server turned away or that did not reach it. Default 5; 0 is none. Those of
// a call that has checkpoints count anew when a try brought it further.
func WithRetries(most int) Option {
	return func(s *settings) error {
		if most < 0 {
			return argumentError("retries must be 0 or more, not %d", most)
		}
		s.retries = most
		return nil
	}
}

// WithPriority sets the priority of requests that state none.
func WithPriority(priority kandinskyapiv1.Priority) Option {
	return func(s *settings) error {
		s.priority = priority
		return nil
	}
}

// WithToken sends "authorization: Bearer ..." with every call, on an unencrypted connection too. An empty token is none.
func WithToken(token string) Option {
	return func(s *settings) error {
		if token != strings.TrimSpace(token) {
			return argumentError("token starts or ends with white space, such as a file's last newline")
		}
		if !printable(token) {
			return argumentError("token must be printable ASCII: it holds a control character or a non-ASCII one")
		}
		s.token = token
		return nil
	}
}

// WithMetadata sends the pairs with every call. Keys are of a-z, 0-9, '-', '_' and '.'; values printable ASCII, or any bytes
// for keys that end in "-bin". Metadata of one call goes into its context.
func WithMetadata(metadata map[string]string) Option {
	return func(s *settings) error {
		for key, value := range metadata {
			if !metadataKey.MatchString(key) || strings.HasPrefix(key, "grpc-") {
				return argumentError("metadata key %q must be of a-z, 0-9, '-', '_' and '.', and not start with grpc-", key)
			}
			if !strings.HasSuffix(key, "-bin") && !printable(value) {
				return argumentError("metadata %q must be printable ASCII; a key that ends in -bin takes any bytes", key)
			}
		}
		s.metadata = maps.Clone(metadata)
		return nil
	}
}

// WithTLS encrypts the connection. With nil the system's roots are trusted; see [LoadTLS] for certificates in files.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			config = &tls.Config{}
		}
		s.tls = config.Clone()
		return nil
	}
}

// WithDialOptions adds options of gRPC's own, such as OpenTelemetry's stats handler. They come after the client's and win.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

// callMetadata is gRPC's interface for what is sent with every call.
type callMetadata map[string]string

func (m callMetadata) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return m, nil
}

// RequireTransportSecurity says no: a proxy beside the client may do the encryption.
func (m callMetadata) RequireTransportSecurity() bool { return false }

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

func argumentError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrArgument, fmt.Sprintf(format, args...))
}
