package javax.annotation;

/** Stands in for the annotation that marks made code, which Java has no more since version 11. */
public @interface Generated {
  String[] value();

  String date() default "";

  String comments() default "";
}
