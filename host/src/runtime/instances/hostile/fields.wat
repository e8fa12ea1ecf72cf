;; Makes fields of HTTP and drops none of them.
(component
  (import "wasi:http/types@0.2.12" (instance $http
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))
  (core func $new (canon lower (func $http "[constructor]fields")))
  (core module $code
    (import "h" "new" (func $new (result i32)))
    (func $start (local $left i32)
      (local.set $left (i32.const 1000000))
      (loop $more
        (drop (call $new))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left))))
    (start $start))
  (core instance (instantiate $code (with "h" (instance (export "new" (func $new)))))))
