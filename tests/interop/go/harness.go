package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/client"
	"github.com/dapr/durabletask-go/task"
)

const (
	hub = "go"
	// Against hangs only: far beyond what any scenario needs.
	patience = time.Minute
)

// warningLog remembers every warning and error that the SDK logs.
type warningLog struct {
	guard sync.Mutex
	lines []string
}

func (e *warningLog) Debug(...any)          {}
func (e *warningLog) Debugf(string, ...any) {}
func (e *warningLog) Info(...any)           {}
func (e *warningLog) Infof(string, ...any)  {}
func (e *warningLog) Warn(v ...any)         { e.add("WARNING: " + fmt.Sprint(v...)) }
func (e *warningLog) Error(v ...any)        { e.add("ERROR: " + fmt.Sprint(v...)) }

func (e *warningLog) Warnf(format string, v ...any)  { e.Warn(fmt.Sprintf(format, v...)) }
func (e *warningLog) Errorf(format string, v ...any) { e.Error(fmt.Sprintf(format, v...)) }

func (e *warningLog) add(line string) {
	e.guard.Lock()
	defer e.guard.Unlock()
	e.lines = append(e.lines, line)
}

func (e *warningLog) warnings() []string {
	e.guard.Lock()
	defer e.guard.Unlock()
	return append([]string{}, e.lines...)
}

// harness is what the scenarios stand on: one client and one worker with everything registered.
type harness struct {
	log    *warningLog
	client *client.TaskHubGrpcClient
	close  func()
}

func newHarness(address string) (*harness, error) {
	connection, err := grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(unaryOnHub),
		grpc.WithStreamInterceptor(streamOnHub),
	)
	if err != nil {
		return nil, err
	}
	log := &warningLog{}
	made := client.NewTaskHubGrpcClient(connection, log)
	ctx, stop := context.WithCancel(context.Background())
	if err := made.StartWorkItemListener(ctx, registry()); err != nil {
		stop()
		return nil, err
	}
	closed := func() {
		stop()
		_ = connection.Close()
	}
	return &harness{log: log, client: made, close: closed}, nil
}

func onHub(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "taskhub", hub)
}

func unaryOnHub(
	ctx context.Context, method string, request, response any,
	connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	return invoke(onHub(ctx), method, request, response, connection, options...)
}

func streamOnHub(
	ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn,
	method string, stream grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return stream(onHub(ctx), description, connection, method, options...)
}

func registry() *task.TaskRegistry {
	made := task.NewTaskRegistry()
	for name, workflow := range workflows {
		must(made.AddWorkflowN(name, workflow))
	}
	for name, activity := range activities {
		must(made.AddActivityN(name, activity))
	}
	return made
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *harness) start(workflow string, input any) (api.InstanceID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.client.ScheduleNewWorkflow(ctx, workflow, api.WithInput(input))
}

func (s *harness) wait(id api.InstanceID) (*protos.WorkflowMetadata, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.client.WaitForWorkflowCompletion(ctx, id, api.WithFetchPayloads(true))
}

func (s *harness) run(workflow string, input any) (*protos.WorkflowMetadata, error) {
	id, err := s.start(workflow, input)
	if err != nil {
		return nil, err
	}
	return s.wait(id)
}

// returns says whether the workflow completes with this output.
func (s *harness) returns(expected any, workflow string, input any) error {
	state, err := s.run(workflow, input)
	if err != nil {
		return err
	}
	return completed(state, expected)
}

func completed(state *protos.WorkflowMetadata, expected any) error {
	return ended(state, api.RUNTIME_STATUS_COMPLETED, expected)
}

func ended(state *protos.WorkflowMetadata, status api.OrchestrationStatus, expected any) error {
	if state.RuntimeStatus != status {
		return fmt.Errorf("%v instead of %v: %v", state.RuntimeStatus, status, state.FailureDetails)
	}
	var output any
	if err := json.Unmarshal([]byte(state.Output.GetValue()), &output); err != nil {
		return fmt.Errorf("the output %q: %w", state.Output.GetValue(), err)
	}
	if plain := asJSON(expected); !reflect.DeepEqual(output, plain) {
		return fmt.Errorf("%v instead of %v", output, plain)
	}
	return nil
}

// asJSON is the value as one reads it back from JSON.
func asJSON(value any) any {
	written, err := json.Marshal(value)
	must(err)
	var read any
	must(json.Unmarshal(written, &read))
	return read
}

// reaches waits for a status, which the API has no call for.
func (s *harness) reaches(id api.InstanceID, status api.OrchestrationStatus) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		state, err := s.client.FetchWorkflowMetadata(ctx, id)
		if err != nil {
			return err
		}
		if state.RuntimeStatus == status {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}
