import client.ApiClient;
import client.ApiException;
import client.api.AdministrationApi;
import client.api.QuestionsApi;
import client.model.Advice;
import client.model.Answer;
import client.model.Batch;
import client.model.DownloadKeyQuestion;
import client.model.EmailItem;
import client.model.GameName;
import client.model.Invalidation;
import client.model.Item;
import client.model.NoAnswerProblem;
import client.model.Problem;
import client.model.Result;
import client.model.UserItem;
import client.model.UserQuestion;
import java.util.List;

/**
 * Asks a gateway through the client that openapi-generator makes: every outcome, a batch, and one that is full.
 * Arguments: address, token, and "outcomes" or "overload". Prints a line for each answer.
 */
public final class AskAll {
  private static final ApiClient CLIENT = new ApiClient();

  private AskAll() {}

  private interface Call<T> {
    T make() throws ApiException;
  }

  public static void main(String[] arguments) throws Exception {
    CLIENT.updateBaseUri(arguments[0]);
    CLIENT.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + arguments[1]));
    QuestionsApi questions = new QuestionsApi(CLIENT);
    if (arguments[2].equals("overload")) {
      show(() -> questions.verifyUser(user(1994)));
      batch(questions);
      Invalidation forget = new Invalidation().game(new GameName(3L)).userId(1994L);
      show(() -> {
        new AdministrationApi(CLIENT).invalidate(forget);
        return null;
      });
      return;
    }
    show(() -> questions.verifyDownloadKey(key("YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z")));
    for (long id : new long[] {29789, 2007, 2008}) {
      show(() -> questions.verifyUser(user(id)));
    }
    show(() -> questions.verifyDownloadKey(key("no key at all")));
    show(() -> questions.verifyUser(user(2010).onlyIfCached(true)));
    batch(questions);
  }

  private static void batch(QuestionsApi questions) throws Exception {
    Batch batch = new Batch().items(List.of(
        new Item(item("a", 1994)),
        new Item(item("b", 2010).onlyIfCached(true)),
        new Item(new EmailItem().id("c").method(EmailItem.MethodEnum.EMAIL).game(new GameName("nowhere"))
            .email("bea@example.com"))));
    try {
      for (Result result : questions.verifyBatch(batch).getResults()) {
        if (result.getDecision() != null) {
          show(result.getDecision());
        } else {
          showRefusal(result.getProblem().getActualInstance());
        }
      }
    } catch (ApiException refusal) {
      showRefusal(read(refusal));
    }
  }

  private static DownloadKeyQuestion key(String text) {
    return new DownloadKeyQuestion().game(new GameName("x-moon")).downloadKey(text);
  }

  private static UserQuestion user(long id) {
    return new UserQuestion().game(new GameName(3L)).userId(id);
  }

  private static UserItem item(String id, long user) {
    return new UserItem().id(id).method(UserItem.MethodEnum.USER).game(new GameName(3L)).userId(user);
  }

  private static void show(Call<Answer> call) throws Exception {
    try {
      show(call.make());
    } catch (ApiException refusal) {
      showRefusal(read(refusal));
    }
  }

  private static Object read(ApiException refusal) throws Exception {
    Class<?> kind = refusal.getCode() == 503 ? NoAnswerProblem.class : Problem.class;
    return CLIENT.getObjectMapper().readValue(refusal.getResponseBody(), kind);
  }

  private static void show(Answer answer) {
    line(answer.getAllowed(), answer.getOutcome().getValue(), answer.getReason().getValue(), answer.getAdvice());
  }

  private static void showRefusal(Object refusal) {
    if (refusal instanceof NoAnswerProblem none) {
      line(none.getAllowed(), none.getOutcome().getValue(), none.getReason().getValue(), none.getAdvice());
    } else {
      Problem problem = (Problem) refusal;
      System.out.println(problem.getStatus() + " " + problem.getCode());
    }
  }

  private static void line(boolean allowed, String outcome, String reason, Advice advice) {
    System.out.println(allowed + " " + outcome + " " + reason + " " + (advice == null ? "-" : advice.getValue()));
  }
}
