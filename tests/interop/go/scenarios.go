package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/task"
)

// Claims about a backend. Each returns an error when it is not true.
var scenarios = map[string]func(*harness) error{
	"a_chain_hands_on_its_results": func(s *harness) error {
		return s.returns(1024, "chain", 1)
	},
	"a_fan_out_keeps_the_order_of_its_inputs": func(s *harness) error {
		var expected []int
		for number := range 50 {
			expected = append(expected, 2*number)
		}
		return s.returns(expected, "fan_out", 50)
	},
	"an_activity_is_tried_again_until_it_succeeds": func(s *harness) error {
		if err := s.returns(4, "retrying", nil); err != nil {
			return err
		}
		if calls := attempts.Load(); calls != 4 {
			return fmt.Errorf("%d attempts", calls)
		}
		return nil
	},
	"children_return_their_results": func(s *harness) error {
		return s.returns([]int{2, 4, 6}, "parent", nil)
	},
	"a_timer_fires_no_earlier_than_asked": func(s *harness) error {
		return s.returns(true, "nap", nil)
	},
	"a_timer_and_an_event_race":                           timerAndEventRace,
	"continuing_as_new_fifty_times_starts_over":           func(s *harness) error { return s.returns(102, "generations", 1) },
	"what_is_suspended_waits_until_it_is_resumed":         suspendAndResume,
	"what_is_terminated_ends_with_the_output_it_is_given": terminate,
	"a_failure_tells_what_went_wrong":                     failure,
}

func timerAndEventRace(s *harness) error {
	patient, err := s.start("race", 3600)
	if err != nil {
		return err
	}
	if err := s.raise(patient, "go", "event"); err != nil {
		return err
	}
	state, err := s.wait(patient)
	if err != nil {
		return err
	}
	if err := completed(state, "event"); err != nil {
		return err
	}
	return s.returns("timer", "race", 0.05)
}

func suspendAndResume(s *harness) error {
	id, err := s.start("waiting", nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.client.SuspendWorkflow(ctx, id, "lunch"); err != nil {
		return err
	}
	if err := s.reaches(id, api.RUNTIME_STATUS_SUSPENDED); err != nil {
		return err
	}
	if err := s.raise(id, "end", "over"); err != nil {
		return err
	}
	suspended, err := s.client.FetchWorkflowMetadata(ctx, id)
	if err != nil {
		return err
	}
	if suspended.RuntimeStatus != api.RUNTIME_STATUS_SUSPENDED {
		return fmt.Errorf("%v after the event", suspended.RuntimeStatus)
	}
	if err := s.client.ResumeWorkflow(ctx, id, "fed"); err != nil {
		return err
	}
	state, err := s.wait(id)
	if err != nil {
		return err
	}
	return completed(state, "over")
}

func terminate(s *harness) error {
	id, err := s.start("waiting", nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.client.TerminateWorkflow(ctx, id, api.WithOutput("because")); err != nil {
		return err
	}
	state, err := s.wait(id)
	if err != nil {
		return err
	}
	return ended(state, api.RUNTIME_STATUS_TERMINATED, "because")
}

func failure(s *harness) error {
	state, err := s.run("failing", nil)
	if err != nil {
		return err
	}
	if state.RuntimeStatus != api.RUNTIME_STATUS_FAILED {
		return fmt.Errorf("%v", state.RuntimeStatus)
	}
	if said := state.FailureDetails.GetErrorMessage(); !strings.Contains(said, "too far") {
		return fmt.Errorf("it says %q", said)
	}
	return nil
}

func (s *harness) raise(id api.InstanceID, event string, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.client.RaiseEvent(ctx, id, event, api.WithEventPayload(data))
}

var attempts atomic.Int64

var activities = map[string]task.Activity{
	"double": func(ctx task.ActivityContext) (any, error) {
		var number int
		err := ctx.GetInput(&number)
		return 2 * number, err
	},
	"attempt": func(task.ActivityContext) (any, error) {
		call := attempts.Add(1)
		if call < 4 {
			return nil, fmt.Errorf("attempt %d", call)
		}
		return call, nil
	},
	"fail": func(task.ActivityContext) (any, error) {
		return nil, errors.New("too far")
	},
}

var workflows = map[string]task.Workflow{
	"chain":       chain,
	"fan_out":     fanOut,
	"retrying":    retrying,
	"parent":      parent,
	"child":       child,
	"nap":         nap,
	"race":        race,
	"generations": generations,
	"waiting":     waiting,
	"failing":     failing,
}

func double(ctx *task.WorkflowContext, number int) (int, error) {
	var doubled int
	err := ctx.CallActivity("double", task.WithActivityInput(number)).Await(&doubled)
	return doubled, err
}

func chain(ctx *task.WorkflowContext) (any, error) {
	var number int
	err := ctx.GetInput(&number)
	for step := 0; step < 10 && err == nil; step++ {
		number, err = double(ctx, number)
	}
	return number, err
}

func fanOut(ctx *task.WorkflowContext) (any, error) {
	var width int
	if err := ctx.GetInput(&width); err != nil {
		return nil, err
	}
	tasks := make([]task.Task, width)
	for number := range tasks {
		tasks[number] = ctx.CallActivity("double", task.WithActivityInput(number))
	}
	return results(tasks)
}

func results(tasks []task.Task) ([]int, error) {
	all := make([]int, len(tasks))
	for number, each := range tasks {
		if err := each.Await(&all[number]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func retrying(ctx *task.WorkflowContext) (any, error) {
	policy := &task.RetryPolicy{MaxAttempts: 5, InitialRetryInterval: 20 * time.Millisecond}
	var call int
	err := ctx.CallActivity("attempt", task.WithActivityRetryPolicy(policy)).Await(&call)
	return call, err
}

func parent(ctx *task.WorkflowContext) (any, error) {
	var tasks []task.Task
	for _, number := range []int{1, 2, 3} {
		tasks = append(tasks, ctx.CallChildWorkflow("child", task.WithChildWorkflowInput(number)))
	}
	return results(tasks)
}

func child(ctx *task.WorkflowContext) (any, error) {
	var number int
	if err := ctx.GetInput(&number); err != nil {
		return nil, err
	}
	return double(ctx, number)
}

func nap(ctx *task.WorkflowContext) (any, error) {
	before := ctx.CurrentTimeUtc
	err := ctx.CreateTimer(500 * time.Millisecond).Await(nil)
	slept := ctx.CurrentTimeUtc.Sub(before)
	return slept >= 500*time.Millisecond && slept < 20*time.Second, err
}

// race has no combinator to stand on: in this SDK the wait itself has a timeout.
func race(ctx *task.WorkflowContext) (any, error) {
	var seconds float64
	if err := ctx.GetInput(&seconds); err != nil {
		return nil, err
	}
	var data string
	timeout := time.Duration(seconds * float64(time.Second))
	err := ctx.WaitForSingleEvent("go", timeout).Await(&data)
	if errors.Is(err, task.ErrTaskCanceled) {
		return "timer", nil
	}
	return data, err
}

func generations(ctx *task.WorkflowContext) (any, error) {
	var number int
	if err := ctx.GetInput(&number); err != nil {
		return nil, err
	}
	doubled, err := double(ctx, number)
	if err == nil && number <= 50 {
		ctx.ContinueAsNew(number + 1)
	}
	return doubled, err
}

func waiting(ctx *task.WorkflowContext) (any, error) {
	var data string
	err := ctx.WaitForSingleEvent("end", -1).Await(&data)
	return data, err
}

func failing(ctx *task.WorkflowContext) (any, error) {
	return nil, ctx.CallActivity("fail").Await(nil)
}
