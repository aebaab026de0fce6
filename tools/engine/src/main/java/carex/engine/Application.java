package carex.engine;

import jakarta.servlet.Filter;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;

/** The engine that is on the class path, with its REST API. The command line brings the settings. */
@SpringBootApplication
public class Application {

  public static void main(String[] args) {
    SpringApplication.run(Application.class, args);
  }

  /** Asks for a user and password; the property is the package of the engine's authentication classes. */
  @Bean
  @ConditionalOnProperty("carex.authentication")
  FilterRegistrationBean<Filter> authentication(
      @org.springframework.beans.factory.annotation.Value("${carex.authentication}") String engine)
      throws ReflectiveOperationException {
    var filter = Class.forName(engine + ".ProcessEngineAuthenticationFilter");
    var registration = new FilterRegistrationBean<>((Filter) filter.getDeclaredConstructor().newInstance());
    registration.addUrlPatterns("/engine-rest/*");
    registration.addInitParameter("authentication-provider", engine + ".impl.HttpBasicAuthenticationProvider");
    registration.setAsyncSupported(true);
    return registration;
  }
}
