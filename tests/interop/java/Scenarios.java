import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.durabletask.DurableTaskClient;
import io.dapr.durabletask.DurableTaskGrpcClientBuilder;
import io.dapr.durabletask.DurableTaskGrpcWorker;
import io.dapr.durabletask.DurableTaskGrpcWorkerBuilder;
import io.dapr.durabletask.OrchestrationMetadata;
import io.dapr.durabletask.OrchestrationRuntimeStatus;
import io.dapr.durabletask.RetryPolicy;
import io.dapr.durabletask.Task;
import io.dapr.durabletask.TaskActivity;
import io.dapr.durabletask.TaskActivityFactory;
import io.dapr.durabletask.TaskOptions;
import io.dapr.durabletask.TaskOrchestration;
import io.dapr.durabletask.TaskOrchestrationContext;
import io.dapr.durabletask.orchestration.TaskOrchestrationFactory;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Plays scenarios with Dapr's Durable Task SDK for Java, and prints as JSON how each went.
 *
 * <pre>java Scenarios.java ADDRESS [NAME...]</pre>
 *
 * By scenario, `error` (null when it is fulfilled) and `warnings`; under the name "" what the SDK
 * warned of, for it does not tell which orchestration it warns about.
 */
public class Scenarios {
  private static final String HUB = "java";
  /** Against hangs only: far beyond what any scenario needs. */
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private static final AtomicInteger attempts = new AtomicInteger();

  private final DurableTaskClient client;

  private Scenarios(DurableTaskClient client) {
    this.client = client;
  }

  /** A claim about a backend; it throws when it is not true. */
  private interface Scenario {
    void play() throws Exception;
  }

  private Map<String, Scenario> scenarios() {
    Map<String, Scenario> claims = new LinkedHashMap<>();
    claims.put("a_chain_hands_on_its_results", () -> expect(1024, result("chain", 1, Integer.class)));
    claims.put("a_fan_out_keeps_the_order_of_its_inputs", this::fanOut);
    claims.put("an_activity_is_tried_again_until_it_succeeds", this::retry);
    claims.put("children_return_their_results",
        () -> expect(List.of(2, 4, 6), result("parent", null, List.class)));
    claims.put("a_timer_fires_no_earlier_than_asked", this::timer);
    claims.put("a_timer_and_an_event_race", this::race);
    claims.put("continuing_as_new_fifty_times_starts_over",
        () -> expect(102, result("generations", 1, Integer.class)));
    claims.put("what_is_suspended_waits_until_it_is_resumed", this::suspendAndResume);
    claims.put("what_is_terminated_ends_with_the_output_it_is_given", this::terminate);
    claims.put("a_failure_tells_what_went_wrong", this::failure);
    return claims;
  }

  private void fanOut() throws Exception {
    List<Integer> expected = IntStream.range(0, 50).mapToObj(number -> 2 * number).toList();
    expect(expected, result("fanOut", 50, List.class));
  }

  private void retry() throws Exception {
    expect(4, result("retrying", null, Integer.class));
    expect(4, attempts.get());
  }

  private void timer() throws Exception {
    long slept = result("nap", null, Long.class);
    expect(true, slept >= 500 && slept < 20_000);
  }

  private void race() throws Exception {
    String patient = started("race", 3_600_000);
    client.raiseEvent(patient, "go", "event");

    expect("event", waited(patient).readOutputAs(String.class));
    expect("timer", result("race", 50, String.class));
  }

  private void suspendAndResume() throws Exception {
    String id = started("waiting", null);

    client.suspendInstance(id, "lunch");
    reaches(id, OrchestrationRuntimeStatus.SUSPENDED);
    client.raiseEvent(id, "end", "over");
    expect(OrchestrationRuntimeStatus.SUSPENDED, status(id));
    client.resumeInstance(id, "fed");

    expect("over", waited(id).readOutputAs(String.class));
  }

  private void terminate() throws Exception {
    String id = started("waiting", null);

    client.terminate(id, Map.of("why", "because"));

    OrchestrationMetadata state = waited(id);
    expect(OrchestrationRuntimeStatus.TERMINATED, state.getRuntimeStatus());
    expect(Map.of("why", "because"), state.readOutputAs(Map.class));
  }

  private void failure() throws Exception {
    OrchestrationMetadata state = waited(started("failing", null));

    expect(OrchestrationRuntimeStatus.FAILED, state.getRuntimeStatus());
    expect(true, state.getFailureDetails().getErrorMessage().contains("too far"));
  }

  private String started(String orchestrator, Object input) throws Exception {
    String id = client.scheduleNewOrchestrationInstance(orchestrator, input);
    client.waitForInstanceStart(id, PATIENCE);
    return id;
  }

  private OrchestrationMetadata waited(String id) throws Exception {
    return client.waitForInstanceCompletion(id, PATIENCE, true);
  }

  /** What the orchestration returns; throws if it does not complete. */
  private <T> T result(String orchestrator, Object input, Class<T> type) throws Exception {
    OrchestrationMetadata state = waited(started(orchestrator, input));
    expect(OrchestrationRuntimeStatus.COMPLETED, state.getRuntimeStatus());
    return state.readOutputAs(type);
  }

  private OrchestrationRuntimeStatus status(String id) {
    return client.getInstanceMetadata(id, false).getRuntimeStatus();
  }

  /** Waits for a status, which the API has no call for. */
  private void reaches(String id, OrchestrationRuntimeStatus status) throws Exception {
    for (long left = PATIENCE.toMillis() / 20; left > 0; left--) {
      if (status(id) == status) {
        return;
      }
      Thread.sleep(20);
    }
    throw new AssertionError(id + " did not reach " + status);
  }

  private static void expect(Object expected, Object actual) {
    if (!Objects.equals(expected, actual)) {
      throw new AssertionError(actual + " instead of " + expected);
    }
  }

  private static Task<Integer> doubled(TaskOrchestrationContext ctx, int number) {
    return ctx.callActivity("double", number, Integer.class);
  }

  private static void register(DurableTaskGrpcWorkerBuilder worker) {
    activity(worker, "double", ctx -> 2 * ctx.getInput(Integer.class));
    activity(worker, "attempt", ctx -> {
      int call = attempts.incrementAndGet();
      if (call < 4) {
        throw new IllegalStateException("attempt " + call);
      }
      return call;
    });
    activity(worker, "fail", ctx -> {
      throw new ArithmeticException("too far");
    });
    registerSteps(worker);
    registerWaits(worker);
  }

  private static void registerSteps(DurableTaskGrpcWorkerBuilder worker) {
    orchestrator(worker, "chain", ctx -> {
      int number = ctx.getInput(Integer.class);
      for (int step = 0; step < 10; step++) {
        number = doubled(ctx, number).await();
      }
      ctx.complete(number);
    });
    orchestrator(worker, "fanOut", ctx -> {
      List<Task<Integer>> tasks = new ArrayList<>();
      for (int number = 0; number < ctx.getInput(Integer.class); number++) {
        tasks.add(doubled(ctx, number));
      }
      ctx.complete(ctx.allOf(tasks).await());
    });
    orchestrator(worker, "retrying", ctx -> {
      TaskOptions options = TaskOptions.withRetryPolicy(new RetryPolicy(5, Duration.ofMillis(20)));
      ctx.complete(ctx.callActivity("attempt", null, options, Integer.class).await());
    });
    orchestrator(worker, "child", ctx -> ctx.complete(doubled(ctx, ctx.getInput(Integer.class)).await()));
    orchestrator(worker, "parent", ctx -> {
      List<Task<Integer>> tasks = new ArrayList<>();
      for (int number : new int[] {1, 2, 3}) {
        tasks.add(ctx.callSubOrchestrator("child", number, Integer.class));
      }
      ctx.complete(ctx.allOf(tasks).await());
    });
    orchestrator(worker, "generations", ctx -> {
      int number = ctx.getInput(Integer.class);
      int doubled = doubled(ctx, number).await();
      if (number <= 50) {
        ctx.continueAsNew(number + 1, false);
      } else {
        ctx.complete(doubled);
      }
    });
    orchestrator(worker, "failing", ctx -> ctx.callActivity("fail").await());
  }

  private static void registerWaits(DurableTaskGrpcWorkerBuilder worker) {
    orchestrator(worker, "nap", ctx -> {
      long before = ctx.getCurrentInstant().toEpochMilli();
      ctx.createTimer(Duration.ofMillis(500)).await();
      ctx.complete(ctx.getCurrentInstant().toEpochMilli() - before);
    });
    orchestrator(worker, "race", ctx -> {
      Task<String> event = ctx.waitForExternalEvent("go", String.class);
      Task<Void> timer = ctx.createTimer(Duration.ofMillis(ctx.getInput(Integer.class)));
      ctx.complete(ctx.anyOf(event, timer).await() == event ? event.await() : "timer");
    });
    orchestrator(worker, "waiting",
        ctx -> ctx.complete(ctx.waitForExternalEvent("end", String.class).await()));
  }

  private static void activity(DurableTaskGrpcWorkerBuilder worker, String name, TaskActivity activity) {
    worker.addActivity(new TaskActivityFactory() {
      @Override
      public String getName() {
        return name;
      }

      @Override
      public TaskActivity create() {
        return activity;
      }
    });
  }

  private static void orchestrator(
      DurableTaskGrpcWorkerBuilder worker, String name, TaskOrchestration orchestration) {
    worker.addOrchestration(new TaskOrchestrationFactory() {
      @Override
      public String getName() {
        return name;
      }

      @Override
      public TaskOrchestration create() {
        return orchestration;
      }

      @Override
      public String getVersionName() {
        return null;
      }

      @Override
      public Boolean isLatestVersion() {
        return false;
      }
    });
  }

  /** Remembers every warning that it hears, but for those that the scenarios provoke. */
  private static final class WarningLog extends Handler {
    private static final Pattern PROVOKED = Pattern.compile("attempt \\d|too far");

    final ConcurrentLinkedQueue<String> warnings = new ConcurrentLinkedQueue<>();

    @Override
    public void publish(LogRecord record) {
      String said = record.getLevel() + ": " + record.getMessage() + " " + record.getThrown();
      boolean matters = record.getLevel().intValue() >= Level.WARNING.intValue();
      if (matters && !PROVOKED.matcher(said).find()) {
        warnings.add(said);
      }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  private static Map<String, Object> end(String error, Iterable<String> warnings) {
    Map<String, Object> end = new LinkedHashMap<>();
    end.put("error", error);
    end.put("warnings", warnings);
    return end;
  }

  private static String play(Scenario scenario) {
    try {
      scenario.play();
      return null;
    } catch (Throwable thrown) {
      StringWriter told = new StringWriter();
      thrown.printStackTrace(new PrintWriter(told));
      return told.toString();
    }
  }

  /** All at once; an orchestration that hangs holds up none but itself. */
  private static Map<String, Object> playAll(Map<String, Scenario> scenarios) throws Exception {
    ExecutorService pool = Executors.newCachedThreadPool();
    Map<String, Future<String>> playing = new LinkedHashMap<>();
    scenarios.forEach((name, one) -> playing.put(name, pool.submit(() -> play(one))));
    Map<String, Object> ends = new LinkedHashMap<>();
    for (Map.Entry<String, Future<String>> each : playing.entrySet()) {
      ends.put(each.getKey(), end(each.getValue().get(), List.of()));
    }
    return ends;
  }

  public static void main(String[] arguments) throws Exception {
    WarningLog log = new WarningLog();
    LogManager.getLogManager().reset();
    Logger.getLogger("").addHandler(log);

    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("taskhub", Metadata.ASCII_STRING_MARSHALLER), HUB);
    ManagedChannel channel = NettyChannelBuilder.forTarget(arguments[0])
        .usePlaintext()
        .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
        .build();
    DurableTaskGrpcWorkerBuilder building = new DurableTaskGrpcWorkerBuilder().grpcChannel(channel);
    register(building);
    DurableTaskGrpcWorker worker = building.build();
    worker.start();

    DurableTaskClient client = new DurableTaskGrpcClientBuilder().grpcChannel(channel).build();
    Map<String, Scenario> chosen = new Scenarios(client).scenarios();
    List<String> names = List.of(arguments).subList(1, arguments.length);
    chosen.keySet().removeIf(name -> !names.isEmpty() && !names.contains(name));
    Map<String, Object> ends = playAll(chosen);
    ends.put("", end(null, log.warnings));
    System.out.println(new ObjectMapper().writeValueAsString(ends));
    // Threads of the worker and of gRPC would keep the program alive.
    System.exit(0);
  }
}
