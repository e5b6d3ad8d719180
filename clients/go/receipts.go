package kandinsky

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// Receipts in embedding files are protobuf's JSON form, byte for byte as every client writes it; protojson changes its spaces on
// purpose. It is as Python's json.dumps: fields in the contract's order and by its names, ASCII, ", " and ": " between. Keys
// of maps are sorted, numbers as numbers.

// receiptsJSON writes the receipts of pairs as a list, null where there is none.
func receiptsJSON(pairs Embeddings) (string, error) {
	items := make([]string, len(pairs))
	for row, pair := range pairs {
		items[row] = "null"
		if pair.Receipt == nil {
			continue
		}
		receipt := proto.Clone(pair.Receipt).(*kandinskyapiv1.Receipt)
		// Times are written even where the server told none.
		if receipt.Timings == nil {
			receipt.Timings = &kandinskyapiv1.Timings{}
		}
		for _, time := range []**durationpb.Duration{&receipt.Timings.Queued, &receipt.Timings.Denoising, &receipt.Timings.Total} {
			if *time == nil {
				*time = &durationpb.Duration{}
			}
		}
		written, err := messageJSON(receipt.ProtoReflect())
		if err != nil {
			return "", err
		}
		items[row] = written
	}
	return "[" + strings.Join(items, ", ") + "]", nil
}

// parseReceipt reads one receipt; null and an empty one are nil. Fields that are newer than this package are passed over.
func parseReceipt(written json.RawMessage) (*kandinskyapiv1.Receipt, error) {
	receipt := &kandinskyapiv1.Receipt{}
	if string(written) == "null" {
		return nil, nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(written, receipt); err != nil {
		return nil, err
	}
	if proto.Size(receipt) == 0 {
		return nil, nil
	}
	return receipt, nil
}

func messageJSON(message protoreflect.Message) (string, error) {
	if duration, is := message.Interface().(*durationpb.Duration); is {
		written, err := protojson.Marshal(duration)
		return string(written), err
	}
	var items []string
	fields := message.Descriptor().Fields()
	byNumber := make([]protoreflect.FieldDescriptor, fields.Len())
	for place := range byNumber {
		byNumber[place] = fields.Get(place)
	}
	slices.SortFunc(byNumber, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })
	for _, field := range byNumber {
		if !message.Has(field) {
			continue
		}
		written, err := fieldJSON(field, message.Get(field))
		if err != nil {
			return "", fmt.Errorf("%s: %w", field.Name(), err)
		}
		items = append(items, asciiJSON(string(field.Name()))+": "+written)
	}
	return "{" + strings.Join(items, ", ") + "}", nil
}

func fieldJSON(field protoreflect.FieldDescriptor, value protoreflect.Value) (string, error) {
	switch {
	case field.IsMap():
		return mapJSON(field, value.Map())
	case field.IsList():
		items := make([]string, value.List().Len())
		for place := range items {
			var err error
			if items[place], err = valueJSON(field.Kind(), value.List().Get(place)); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	default:
		return valueJSON(field.Kind(), value)
	}
}

func mapJSON(field protoreflect.FieldDescriptor, entries protoreflect.Map) (string, error) {
	var keys []protoreflect.MapKey
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int {
		if field.MapKey().Kind() == protoreflect.StringKind {
			return strings.Compare(a.String(), b.String())
		}
		return cmp.Compare(a.Int(), b.Int())
	})
	items := make([]string, len(keys))
	for place, key := range keys {
		written, err := valueJSON(field.MapValue().Kind(), entries.Get(key))
		if err != nil {
			return "", err
		}
		items[place] = asciiJSON(key.String()) + ": " + written
	}
	return "{" + strings.Join(items, ", ") + "}", nil
}

// valueJSON writes one value of the kinds that a Receipt has.
func valueJSON(kind protoreflect.Kind, value protoreflect.Value) (string, error) {
	switch kind {
	case protoreflect.StringKind:
		return asciiJSON(value.String()), nil
	case protoreflect.BoolKind, protoreflect.Int32Kind:
		return value.String(), nil
	case protoreflect.Int64Kind:
		return `"` + value.String() + `"`, nil
	case protoreflect.DoubleKind:
		return doubleJSON(value.Float()), nil
	case protoreflect.MessageKind:
		return messageJSON(value.Message())
	default:
		return "", fmt.Errorf("a receipt with a field of kind %v needs a newer client", kind)
	}
}

// doubleJSON writes a number as Python's repr: the shortest that reads back the same, with an exponent below 1e-4 and from 1e16.
func doubleJSON(number float64) string {
	switch size := math.Abs(number); {
	case math.IsNaN(number):
		return `"NaN"`
	case math.IsInf(number, 0):
		return map[bool]string{true: `"Infinity"`, false: `"-Infinity"`}[number > 0]
	case size != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(number, 'e', -1, 64)
	default:
		plain := strconv.FormatFloat(number, 'f', -1, 64)
		if !strings.Contains(plain, ".") {
			plain += ".0"
		}
		return plain
	}
}

// asciiJSON writes a JSON string in ASCII alone.
func asciiJSON(text string) string {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}
	var written strings.Builder
	written.WriteByte('"')
	for _, char := range text {
		if escaped, has := short[char]; has {
			written.WriteString(escaped)
		} else if ' ' <= char && char <= '~' {
			written.WriteRune(char)
		} else {
			for _, unit := range utf16.AppendRune(nil, char) {
				fmt.Fprintf(&written, `\u%04x`, unit)
			}
		}
	}
	written.WriteByte('"')
	return written.String()
}
