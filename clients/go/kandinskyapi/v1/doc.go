// Package kandinskyapiv1 is the contract of the Kandinsky 2.2 gRPC model server, generated from proto/kandinsky_api/v1: messages for
// every client, and stubs for those that do without package kandinsky.
package kandinskyapiv1
